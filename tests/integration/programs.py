"""Programs of the system as visitors and upstreams: found, or their test skipped by name; run with a deadline."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.daemons import Daemon

__all__ = ["curl", "plain_lines", "program", "run"]

DEADLINE = 60.0
"""Seconds one run of a program may take on a busy machine."""
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def program(name: str, folder: Path | None = None) -> str:
    """Where a program is; skips the test, saying which one is missing."""
    path = shutil.which(name, path=str(folder) if folder else PLACES)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(
    argv: list[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    data: bytes | None = None,
    status: int | None = 0,
) -> subprocess.CompletedProcess[bytes]:
    """Run to the end; an AssertionError with all it said if it does not end with ``status`` (None: any will do)."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=data,
        stdin=subprocess.DEVNULL if data is None else None,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    if status is not None and done.returncode != status:
        said = (done.stdout[-2000:] + done.stderr[-4000:]).decode(errors="replace")
        raise AssertionError(f"{' '.join(argv)} ended with status {done.returncode}:\n{said}")
    return done


def curl(url: str, *options: str, data: bytes | None = None, status: int | None = 0) -> bytes:
    """What curl writes for a URL; names below localhost need no resolver, curl knows them."""
    argv = [program("curl"), "--silent", "--show-error", "--noproxy", "*", "--max-time", str(DEADLINE)]
    return run([*argv, *options, url], data=data, status=status).stdout


def plain_lines(daemon: Daemon) -> list[str]:
    """What a daemon said to the person, without the lines of its log (which start with the date)."""
    return [line for line in daemon.output.splitlines() if line and not line[:4].isdigit()]
