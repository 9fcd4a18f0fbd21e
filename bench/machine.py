"""On what the figures were taken: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from bench.contenders.base import Contender
from bench.version import first_line

__all__ = ["commit", "describe_machine", "field_of", "short", "versions"]

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("Twisted", "autobahn", "httptools", "attrs")


def field_of(text: str, name: str) -> str:
    """The first value of ``name : value`` lines as /proc/cpuinfo and /proc/meminfo have them, or ``unknown``."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def describe_machine() -> dict[str, str | int | float]:
    """Processor, memory, kernel, and how busy the machine was with other things when the run began."""
    return {
        "processor": field_of(Path("/proc/cpuinfo").read_text(), "model name"),
        "processors": len(os.sched_getaffinity(0)),
        "memory": field_of(Path("/proc/meminfo").read_text(), "MemTotal"),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
    }


def versions(contenders: Sequence[Contender]) -> dict[str, str]:
    """Versions of everything that takes part."""
    found = {contender.name: contender.version() for contender in contenders}
    found["python"] = platform.python_version()
    found["nginx"] = first_line("nginx", "-v")
    found["wrk"] = first_line("wrk", "-v")
    found["curl"] = first_line("curl", "--version")
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def short(name: str) -> str:
    """A commit as pages show it, still saying when files differed from it."""
    return name[:12] + ("-dirty" if name.endswith("-dirty") else "")


def commit() -> str:
    """The commit of this checkout, with ``-dirty`` when files differ from it, or ``unknown``."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"
