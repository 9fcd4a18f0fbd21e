"""The access log: a line for each request, in the format that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from egtunnel.ingress.http.log_file import AccessLogLimits, LogFile
from egtunnel.ingress.http.log_lines import FORMATS, Entry, Line

__all__ = ["AccessLog", "AccessLogLimits", "Entry", "open_access_log"]


class AccessLog:
    """One line a request, made as it ends, so that nothing of the request is kept.

    :param wall: seconds since 1970.
    """

    __slots__ = ("_field", "_file", "_line", "_wall")

    def __init__(self, file: LogFile, line: Line, wall: Callable[[], float], field: int) -> None:
        self._file = file
        self._line = line
        self._wall = wall
        self._field = field

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self._file.lost

    def request(self, entry: Entry) -> None:
        """A response is over."""
        self._file.write(self._line(entry, self._wall() - entry.seconds, self._field))

    def reopen(self) -> None:
        """The file was moved away: go on in a new one."""
        self._file.reopen()

    def close(self) -> None:
        """Write what is there; lines that come later are written at once."""
        self._file.close()


def open_access_log(
    path: Path | str,
    format: str,
    clock: Any,
    wall: Callable[[], float],
    say: Callable[[str], None],
    limits: AccessLogLimits | None = None,
) -> AccessLog:
    """The access log in that file, or on standard output if the path is ``-``. Raises ConfigurationError.

    :param format: ``combined`` or ``json``.
    :param clock: an IReactorTime.
    :param say: takes one line for a person, when the log cannot be written.
    """
    limits = limits or AccessLogLimits()
    return AccessLog(LogFile(path, clock, say, limits), FORMATS[format], wall, limits.field)
