"""A smoke of the measurement of slow visitors: every kind comes, and another is served meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.slow import MODES

CHECKOUT = Path(__file__).resolve().parents[2]
SHORT = ("--connections", "60", "--requests", "50", "--rounds", "1", "--seconds", "20")


@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed")
def test_every_kind_of_slow_visitor_comes_and_others_are_served(tmp_path: Path) -> None:
    """A line for each, with all of them connected."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-m", "bench.slow", *SHORT],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    assert [line[:12].strip() for line in lines] == list(MODES)
    assert all(line[14:].split()[0] == "60" for line in lines), done.stdout
    assert not list(tmp_path.iterdir())
