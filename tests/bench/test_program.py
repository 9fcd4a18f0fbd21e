"""Programs are waited for, and ended with all they started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from bench.errors import DidNotStart, MissingProgram
from bench.program import find_program, running, wait_for_file, wait_for_port
from bench.usage import snapshot

# A parent whose child leaves its session, as sshd's do; it prints the child's pid and both would sleep on.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(600)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_gone(pid: int) -> bool:
    stat = snapshot().get(pid)
    return stat is None or stat.state == "Z"


def test_leaving_the_block_ends_the_program_and_its_children(tmp_path: Path) -> None:
    """Also a child that left the process group."""
    with running("family", python(FAMILY), tmp_path) as program:
        child = int(program.wait_for_line(r"^child (\d+)$").group(1))
        assert not is_gone(child)
    assert is_gone(program.pid)
    assert is_gone(child)


def test_an_error_in_the_block_ends_the_program(tmp_path: Path) -> None:
    """Ctrl-C is such an error."""
    with pytest.raises(KeyboardInterrupt), running("sleep", ["sleep", "600"], tmp_path) as program:
        raise KeyboardInterrupt
    assert is_gone(program.pid)


def test_a_program_deaf_to_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked first, killed after a while."""
    monkeypatch.setattr("bench.program.END_SECONDS", 0.2)
    with running("deaf", python(DEAF), tmp_path) as program:
        program.wait_for_line("deaf")
    assert is_gone(program.pid)


def test_a_program_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    """The reason stands in the error, not in a log that is removed."""
    code = "import sys; print('no such option', file=sys.stderr); sys.exit(3)"
    with running("short", python(code), tmp_path) as program, pytest.raises(DidNotStart, match=r"3: no such option"):
        program.wait_for_line("never")


def test_waiting_for_a_line_has_an_end(tmp_path: Path) -> None:
    """A program that says nothing is given up."""
    with running("mute", ["sleep", "600"], tmp_path) as program, pytest.raises(DidNotStart, match="did not print"):
        program.wait_for_line("never", 0.1)


def test_waiting_for_a_port_has_an_end(tmp_path: Path) -> None:
    """A program that listens nowhere is given up; port 1 is nobody's."""
    with running("mute", ["sleep", "600"], tmp_path) as program, pytest.raises(DidNotStart, match="port 1"):
        wait_for_port(1, program, 0.1)


def test_a_file_that_a_program_makes_is_waited_for(tmp_path: Path) -> None:
    """And not for ever."""
    code = "import pathlib, time; time.sleep(0.2); pathlib.Path('made').touch(); time.sleep(600)"
    with running("maker", python(code), tmp_path) as program:
        wait_for_file(tmp_path / "made", program)
        with pytest.raises(DidNotStart, match="did not make"):
            wait_for_file(tmp_path / "never", program, 0.1)


def test_the_environment_is_added_to_ours(tmp_path: Path) -> None:
    """Secrets travel there and not in a command line."""
    code = "import os; print(os.environ['EGTUNNEL_BENCH'], 'PATH' in os.environ, os.getcwd())"
    with running("say", python(code), tmp_path, {"EGTUNNEL_BENCH": "here"}) as program:
        assert program.wait_for_line(r"here True (.*)$").group(1) == os.path.realpath(tmp_path)


def test_a_program_that_is_not_there_is_named() -> None:
    """One clear line for the person who lacks it."""
    with pytest.raises(MissingProgram, match="no-such-program is not installed"):
        find_program("no-such-program")


def test_ending_a_program_that_has_ended_is_no_error(tmp_path: Path) -> None:
    """Nor does it signal whoever has its pid by then."""
    with running("true", ["true"], tmp_path) as program:
        while not is_gone(program.pid):
            time.sleep(0.01)
    assert is_gone(program.pid)
