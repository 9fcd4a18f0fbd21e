"""A file that lines are appended to: in batches, without ever keeping anybody waiting for long."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from egtunnel.errors import ConfigurationError

__all__ = ["AccessLogLimits", "LogFile"]

STANDARD_OUTPUT = 1
_ONCE = 4096
"""What a pipe that can be written to takes at once without blocking (PIPE_BUF)."""


@attrs.frozen
class AccessLogLimits:
    """Sizes in bytes, times in seconds.

    ``field``: a path, Referer or User-Agent. ``batch``: written as soon as so much has come; ``interval``: time until
    less is written. ``backlog``: kept while the file takes nothing; lines beyond that are lost.
    """

    field: int = 1_024
    batch: int = 65_536
    interval: float = 1.0
    backlog: int = 1_048_576


class LogFile:
    """Appends to ``path``, or to standard output if it is ``-``.

    A file that was moved away, or removed, is made anew with the next batch. What cannot be written is lost and counted
    in ``lost``; the first time, and again after it went well in between, that is said. Raises ConfigurationError if the
    file cannot be opened to begin with.

    :param clock: tells when to write; an IReactorTime.
    """

    def __init__(
        self,
        path: Path | str,
        clock: Any,
        say: Callable[[str], None],
        limits: AccessLogLimits,
        name: str = "access log",
    ) -> None:
        self.lost = 0
        self._name = name
        self._path = None if str(path) == "-" else Path(path)
        self._clock = clock
        self._say = say
        self._limits = limits
        self._lines: list[bytes] = []
        self._size = self._reported = 0
        self._timer: Any = None
        self._fd = -1
        self._identity = (0, 0)
        self._slow = self._within = self._torn = self._failing = self._closed = False
        try:
            self._open()
        except OSError as error:
            raise ConfigurationError(f"cannot write the {name} {path}: {error.strerror}") from None

    def write(self, line: bytes) -> None:
        """Take one line, which ends with a line feed."""
        if self._size + len(line) > self._limits.backlog:
            self._lose(1, "it takes nothing")
            return
        self._lines.append(line)
        self._size += len(line)
        if self._closed or self._size - len(line) < self._limits.batch <= self._size:
            self.flush()
            if self._closed:
                self._leave()
        elif self._timer is None:
            self._timer = self._clock.callLater(self._limits.interval, self._due)

    def flush(self) -> None:
        """Write what has come."""
        if self._lines:
            try:
                self._follow()
                self._put()
            except OSError as error:
                self._drop(error.strerror or str(error))
            else:
                self._recovered()

    def reopen(self) -> None:
        """Go on at once in the file that has the name now, with what has come."""
        self.flush()
        try:
            if not self._closed:
                self._follow()
        except OSError as error:
            self._complain(f"cannot be opened anew: {error.strerror}")

    def close(self) -> None:
        """Write what has come; lines that come later are written at once."""
        if not self._closed:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.flush()
            self._leave()

    def _due(self) -> None:
        self._timer = None
        self.flush()
        if self._lines:
            self._timer = self._clock.callLater(self._limits.interval, self._due)

    # -- the file

    def _open(self) -> None:
        """O_NONBLOCK: a named pipe that nobody reads is an error instead of a wait."""
        if self._path is None:
            fd = STANDARD_OUTPUT
        else:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                fd = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o640)
                os.fchmod(fd, 0o640)  # a daemon's umask may take more than it should
            except FileExistsError:
                fd = os.open(self._path, flags)
        found = os.fstat(fd)
        self._leave()
        self._fd = fd
        self._identity = found.st_dev, found.st_ino
        self._slow = not stat.S_ISREG(found.st_mode)
        self._torn = False

    def _leave(self) -> None:
        if self._fd > STANDARD_OUTPUT:
            os.close(self._fd)
        self._fd = -1

    def _follow(self) -> None:
        """Where another file has the name now, or none has, go on there; if that fails, the one that is open serves."""
        if self._fd >= 0 and (self._path is None or self._in_place(self._path)):
            return
        try:
            self._open()
        except OSError as error:
            if self._fd < 0:
                raise
            self._complain(f"cannot be opened anew: {error.strerror}; the file that was moved is still written to")

    def _in_place(self, path: Path) -> bool:
        try:
            found = os.stat(path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def _put(self) -> None:
        """Write as much as goes at once; the rest waits for the next time."""
        data = memoryview((b"\n" if self._torn else b"") + b"".join(self._lines))
        start = 0
        try:
            while start < len(data) and self._ready():
                start += os.write(self._fd, data[start : start + _ONCE] if self._slow else data[start:])
        except BlockingIOError:
            pass  # a pipe that was ready for less
        finally:
            rest = bytes(data[start:])
            if start:
                self._torn, self._within = False, bool(data[start - 1] != 0x0A)
            self._lines, self._size = [rest] if rest else [], len(rest)

    def _ready(self) -> bool:
        """Whether a write would not block; on a disk it never does."""
        if not self._slow:
            return True
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))

    # -- what is lost

    def _drop(self, reason: str) -> None:
        """What follows a line that was written in part begins a new one."""
        self._torn = self._within
        rest = b"".join(self._lines)
        self._lines, self._size = [], 0
        self._lose(rest.count(b"\n"), reason)

    def _lose(self, lines: int, reason: str) -> None:
        self.lost += lines
        self._complain(f"loses lines: {reason}")

    def _complain(self, what: str) -> None:
        if not self._failing:
            self._failing = True
            self._say(f"The {self._name} {self._path or 'on standard output'} {what}")

    def _recovered(self) -> None:
        if self._failing and not self._lines and (self._path is None or self._in_place(self._path)):
            self._failing = False
            lost, self._reported = self.lost - self._reported, self.lost
            self._say(f"The {self._name} {self._path or 'on standard output'} is written again; lines lost: {lost}")
