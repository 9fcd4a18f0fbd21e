"""A smoke of the comparison of one process with two workers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
GROUPS = Path("/sys/fs/cgroup/cpu")


@pytest.mark.skipif(not os.access(GROUPS / "cgroup.procs", os.W_OK), reason="no control groups (version 1) to write to")
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_one_process_and_two_workers_are_measured_in_turns() -> None:
    """A line for each kind of work; no group is left behind."""
    before = set(GROUPS.glob("egtunnel-bench-*"))
    words = [sys.executable, "-m", "bench.workers", "--rounds", "1", "--seconds", "1"]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    kept, new = done.stdout.splitlines()
    assert kept.startswith("kept connections: ") and new.startswith("a new connection each: ")
    assert len(done.stderr.splitlines()) == 4
    assert set(GROUPS.glob("egtunnel-bench-*")) <= before
