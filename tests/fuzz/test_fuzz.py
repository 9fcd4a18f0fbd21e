"""A short run of each fuzz target, and programs that once found something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import fuzz_mux

ROOT = Path(__file__).resolve().parents[2]


def test_random_programs_find_no_defect_in_the_mux() -> None:
    """A thousand, always the same; ``make fuzz`` runs many more."""
    assert fuzz_mux.run_random(runs=1000, seconds=0.0, seed=20_261_123) == 1000


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 4096, bytes(range(256)) * 20])
def test_programs_at_the_edges_find_no_defect(data: bytes) -> None:
    """Nothing, one byte, and more than is read."""
    fuzz_mux.test_one_input(data)


def test_a_defect_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target can fail: a mux that forgets to release what it sent is noticed."""
    monkeypatch.setattr("egtunnel.mux.budget.Budget.release", lambda self, size: None)
    with pytest.raises(AssertionError):
        fuzz_mux.run_random(runs=200, seconds=0.0, seed=1)


def test_the_command_works_without_atheris() -> None:
    """A bounded number of runs, a line at the end, exit status 0."""
    command = [sys.executable, "-m", "tests.fuzz.fuzz_mux", "--plain", "--runs", "50"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "50 random inputs, no defect found\n"
