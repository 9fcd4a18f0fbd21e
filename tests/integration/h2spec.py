"""h2spec, a conformance suite of HTTP/2 that nobody here wrote: found or installed, and run by a name of our own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import attrs

__all__ = ["Judgement", "SuiteMissing", "install", "judge"]

PACKAGE = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
PLACES = f"{os.environ.get('PATH', '')}:/usr/local/go/bin:{Path.home()}/go/bin"
SLOWEST = 300.0
"""Seconds, to install it or to run it."""
_TOTALS = re.compile(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed")


class SuiteMissing(Exception):
    """The suite cannot run here; the text says why."""


@attrs.frozen
class Judgement:
    """How many cases there were, how many of them passed, and all that was said."""

    cases: int
    passed: int
    text: str


def install() -> str:
    """The program, made with Go on its first use. Raises SuiteMissing."""
    if os.geteuid():
        raise SuiteMissing("only root may give h2spec a name of its own to ask for")
    found = shutil.which("h2spec", path=PLACES)
    if found is not None:
        return found
    go = shutil.which("go", path=PLACES)
    if go is None:
        raise SuiteMissing("h2spec is not installed, and there is no Go to make it with")
    cache = Path(os.environ.get("EGTUNNEL_H2SPEC") or Path(tempfile.gettempdir()) / "egtunnel-h2spec")
    program = cache / "h2spec"
    if not program.exists():
        environment = {**os.environ, "GOBIN": str(cache), "GOFLAGS": "-buildvcs=false"}
        done = subprocess.run(
            [go, "install", PACKAGE], env=environment, capture_output=True, text=True, timeout=SLOWEST, check=False
        )
        if done.returncode:
            raise SuiteMissing(f"h2spec could not be made: {done.stderr.strip()[-200:]}")
    return str(program)


def judge(program: str, folder: Path, host: str, port: int, *options: str) -> Judgement:
    """Run all cases against ``host``, which for this one program stands for the loopback address."""
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {host}\n")
    named = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
    command = [*named, program, "-h", host, "-p", str(port), "-P", "/", "-o", "5", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SLOWEST, check=False)
    totals = _TOTALS.search(done.stdout)
    if totals is None:
        raise SuiteMissing(f"h2spec did not run: {json.dumps((done.stdout + done.stderr)[-200:])}")
    return Judgement(int(totals[1]), int(totals[2]), done.stdout)
