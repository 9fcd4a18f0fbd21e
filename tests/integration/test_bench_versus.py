"""A smoke of the comparison of two variants: both serve, and each kind has its table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SHORT = ("--rounds", "1", "--seconds", "1", "--size", "1", "--work", "requests-32,download")


def versus(*options: str) -> subprocess.CompletedProcess[str]:
    """What the command prints, and its status."""
    words = [sys.executable, "-m", "bench.versus", *SHORT, *options]
    return subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(not (shutil.which("wrk") and shutil.which("nginx")), reason="wrk or nginx is not installed")
def test_two_variants_are_measured_beside_each_other() -> None:
    """With resume and without; the first is the measure of the second."""
    done = versus("--kinds", "tcp", "--b-options", "--resume-window 0")
    assert done.returncode == 0, done.stderr
    head, _, *rows = done.stdout.strip().splitlines()
    assert [cell.strip() for cell in head.split("|")[2:4]] == ["tcp a", "tcp b"]
    # A MiB may cost less than the processor's account counts: those rows have no ratio.
    measured = [row for row in rows if not row.startswith("| CPU")]
    assert len(rows) == 4 and len(measured) == 2 and all("1.00x" in row for row in measured)


def test_options_that_the_daemons_do_not_have_are_a_failure_with_its_reason() -> None:
    """The other variant has its figures all the same."""
    done = versus("--kinds", "tcp", "--b-options=--no-such-option")
    assert done.returncode == 1
    assert "failed: round 1, tcp b" in done.stdout and "no-such-option" in done.stdout
