"""Programs that the benchmark starts, waits for, and always ends: those it started and no others."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.errors import DidNotStart, MissingProgram
from bench.usage import ProcessStat, descendants, snapshot

__all__ = ["PEER_FOLDER", "Program", "find_program", "running", "wait_for_file", "wait_for_port"]

START_SECONDS = 20.0
END_SECONDS = 5.0
POLL_SECONDS = 0.02
PEER_FOLDER = Path(os.environ.get("EGTUNNEL_BENCH_PEERS") or Path.home() / ".cache" / "egtunnel-bench") / "bin"
"""Where ``make peers`` installs."""
MORE_FOLDERS = (str(PEER_FOLDER), str(Path(sys.executable).parent), "/usr/local/sbin:/usr/sbin:/sbin")
"""Looked through after the PATH, which often leaves daemons out."""


def find_program(name: str) -> str:
    """The path of a program; also looks where ``make peers`` puts programs and where daemons live.

    :raises MissingProgram: there is none of that name
    """
    found = next((path for where in (None, *MORE_FOLDERS) if (path := shutil.which(name, path=where))), None)
    if found is None:
        raise MissingProgram(f"{name} is not installed")
    return found


class Program:
    """One started program in a session of its own, its output in a file.

    :ivar pid: of the program itself; its children are found through /proc when they matter
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], output: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._output = output

    def output(self) -> str:
        """All it has printed so far, both streams."""
        return self._output.read_text(errors="replace")

    def check(self) -> None:
        """:raises DidNotStart: it has ended by itself; the end of its output is in the text"""
        if self._process.poll() is not None:
            last = " / ".join(self.output().strip().splitlines()[-3:])
            raise DidNotStart(f"{self.name} ended with status {self._process.returncode}: {last}")

    def wait_for_line(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until its output matches.

        :raises DidNotStart: it did not in time, or the program ended
        """
        deadline = time.monotonic() + seconds
        while True:
            if match := re.search(pattern, self.output(), re.MULTILINE):
                return match
            self.check()
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.name} did not print /{pattern}/ within {seconds:g} s: {self.output()[-300:]}")
            time.sleep(POLL_SECONDS)

    def interrupt(self) -> None:
        """Ask it to finish, as Ctrl-C does, and wait until it has.

        :raises DidNotStart: it does not within END_SECONDS
        """
        os.kill(self.pid, signal.SIGINT)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DidNotStart(f"{self.name} did not end when it was interrupted") from error

    def end(self) -> None:
        """End it and everything it started: asked first, killed after END_SECONDS."""
        # sshd's sessions leave the process group, so the tree is remembered before its root goes.
        family = descendants([self.pid], snapshot())
        _signal(family, signal.SIGTERM)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(family, signal.SIGKILL)
            self._process.wait()
        deadline = time.monotonic() + END_SECONDS
        while _living(family) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        _signal(family, signal.SIGKILL)


def _living(family: Sequence[ProcessStat]) -> list[ProcessStat]:
    now = snapshot()
    return [
        stat
        for stat in family
        if (current := now.get(stat.pid)) is not None and current.started == stat.started and current.state != "Z"
    ]


def _signal(family: Sequence[ProcessStat], number: signal.Signals) -> None:
    for stat in _living(family):
        with contextlib.suppress(ProcessLookupError):  # it may end between the look and the signal
            os.kill(stat.pid, number)


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Start a program with ``folder`` as its working directory, and end it when the block is left, however it is left.

    :param environment: members that are added to our own environment
    """
    output = folder / f"{name}.log"
    with output.open("wb") as log:
        process = subprocess.Popen(  # the standard input is closed: nothing here may ask a question
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(name, process, output)
    try:
        yield program
    finally:
        program.end()


def wait_for_port(port: int, program: Program, seconds: float = START_SECONDS) -> None:
    """Wait until the loopback port takes connections.

    :raises DidNotStart: it does not in time, or the program ended
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError as error:
            program.check()
            if time.monotonic() > deadline:
                raise DidNotStart(f"{program.name} does not listen on port {port}: {error}") from error
        time.sleep(POLL_SECONDS)


def wait_for_file(path: Path, program: Program, seconds: float = START_SECONDS) -> None:
    """Wait until the program has made a file.

    :raises DidNotStart: it did not in time, or the program ended
    """
    deadline = time.monotonic() + seconds
    while not path.exists():
        program.check()
        if time.monotonic() > deadline:
            raise DidNotStart(f"{program.name} did not make {path} within {seconds:g} s")
        time.sleep(POLL_SECONDS)
