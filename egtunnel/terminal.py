"""What a person at the terminal sees of a daemon: facts as plain lines, and a fatal error as one line and a status."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.usage import Options

__all__ = ["Terminal", "own_pidfile"]

TWISTD_PIDFILE = "twistd.pid"


def own_pidfile(options: Options, daemon: str) -> None:
    """Keep two daemons in one folder apart; to be called from ``postOptions``.

    twistd writes ``twistd.pid`` in the working directory, even in the foreground, and a second twistd there refuses to
    start. In the foreground none is needed; a daemon gets one of its own name. A name given by the user stays.
    """
    parent = options.parent
    if parent is not None and parent.get("pidfile") == TWISTD_PIDFILE:
        parent["pidfile"] = "" if parent.get("nodaemon") or parent.get("debug") else f"{daemon}.pid"


class Terminal:
    """Speaks to the person who started a daemon, or to the log once twistd has put it into the background.

    To be made before twistd forks (in ``makeService``): a process id that has changed since tells the background.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pid = os.getpid()
        self._failed = False

    @property
    def foreground(self) -> bool:
        """Whether we still are the process that the person started."""
        return os.getpid() == self._pid

    def say(self, line: str) -> None:
        """Tell a fact, as a line without the log's decoration: twistd turns ``sys.stdout`` into log events."""
        if not (self.foreground and _write(sys.__stdout__, line)):
            self.log.info("{line}", line=line)

    def fail(self, line: str) -> None:
        """Say what is fatal, on stderr, stop the reactor, and end the process with status 1.

        twistd ends with status 0 whenever the reactor was stopped. The status is therefore set in the very last moment,
        when twistd has removed its pid file and logged its end. Only the first call counts.
        """
        if self._failed:
            return
        self._failed = True
        if not (self.foreground and _write(sys.__stderr__, line)):
            self.log.critical("{line}", line=line)
        atexit.register(_exit_with_failure)
        self._reactor.callWhenRunning(self._reactor.callLater, 0, self.stop)

    def stop(self) -> None:
        """End the process; it is done."""
        with suppress(ReactorNotRunning):  # it is being stopped already
            self._reactor.stop()


def _write(stream: TextIO | None, line: str) -> bool:
    """Whether the line could be written; nobody may be reading (a pipe that was closed), which is no reason to fail."""
    try:
        print(line, file=stream or sys.stderr, flush=True)
    except (OSError, ValueError):
        return False
    return True


def _exit_with_failure() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(1)
