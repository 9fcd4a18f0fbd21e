"""Processes of the demo: started with one call, their output read all the time, ended for certain."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

__all__ = ["DemoError", "Process", "Stopped"]

PATIENCE = 60.0
"""How long a process may take to say that it is ready, seconds; a busy machine is slow."""
GRACE = 5.0
"""How long a process may take to end after SIGTERM, seconds."""
KEPT_LINES = 200


class DemoError(Exception):
    """Something did not work; the text is for a person."""


class Stopped(Exception):
    """The person asked for the end while something was still being waited for."""


class Process:
    """A child process in a process group of its own, so that Ctrl-C reaches only the demo, which ends them in order."""

    def __init__(self, name: str, argv: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._child = subprocess.Popen(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self._child.stdout is not None:
            self.lines.extend(line.rstrip("\n") for line in self._child.stdout)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.poll() is None

    def wait_for(self, pattern: str, stop: threading.Event) -> str:
        """The first group of ``pattern`` in the first line that matches.

        :raises DemoError: it ended, or said nothing like that in time.
        :raises Stopped: ``stop`` was set.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            running = self.running
            if not running:
                self._reader.join(GRACE)
            for line in tuple(self.lines):
                if found := re.search(pattern, line):
                    return found.group(1)
            if not running:
                raise DemoError(self.obituary())
            if stop.wait(0.05):
                raise Stopped
        raise DemoError(f"the {self.name} was not ready after {PATIENCE:g} s; it said: {self._last_words()}")

    def obituary(self) -> str:
        """How it ended, and what it said last."""
        return f"the {self.name} ended with status {self._child.wait(GRACE)}; it said: {self._last_words()}"

    def _last_words(self) -> str:
        return " / ".join(tuple(self.lines)[-3:]) or "nothing"

    def end(self) -> None:
        """SIGTERM, and SIGKILL for what does not listen; returns once it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join(GRACE)
