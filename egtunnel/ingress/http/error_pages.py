"""Own error pages: a folder of HTML files that stand in for the relay's own pages, for all tunnels or for one."""

from __future__ import annotations

import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from html import escape
from pathlib import Path

import attrs
from twisted.logger import Logger

from egtunnel.ingress.http.refusals import REASONS, Refusal

__all__ = ["ErrorPageLimits", "ErrorPages", "fill"]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_LONGEST_NAME = 253

_PLACEHOLDER = re.compile(rb"\{(status|reason|word|text|host)\}")

Signature = tuple[int, int, int, int, int]
"""What tells one state of a file from the next: times of change, size, and which file it is."""


@attrs.frozen
class ErrorPageLimits:
    """``size``: of one page, bytes. ``entries``: files remembered. ``fresh``: seconds between two looks at a file."""

    size: int = 262_144
    entries: int = 256
    fresh: float = 1.0


@attrs.define
class _Entry:
    """One file as it was when it was last looked at; ``page`` is None if there is none that can be shown.

    ``trouble``: why not, as it was last said.
    """

    checked: float
    signature: Signature | None = None
    page: bytes | None = None
    trouble: str = ""


class ErrorPages:
    """Finds the page for a tunnel and a status below ``folder``; never anything that lies outside of it.

    The first of ``404.html``, ``4xx.html`` and ``default.html`` is taken that is in the tunnel's own sub-folder, which
    has its name; then the first of those in ``folder`` itself. Files may be changed at any time.

    :param clock: seconds, from anywhere on.
    """

    log = Logger()

    def __init__(
        self, folder: Path, limits: ErrorPageLimits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = os.path.realpath(folder)
        self._limits = limits or ErrorPageLimits()
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def find(self, tunnel_name: str, status: int) -> bytes | None:
        """The page, its placeholders not filled; ``tunnel_name`` is empty for requests that reach no tunnel."""
        names = [f"{status:d}.html", f"{status // 100:d}xx.html", "default.html"]
        if len(tunnel_name) <= _LONGEST_NAME and _NAME.fullmatch(tunnel_name):
            names = [f"{tunnel_name}/{name}" for name in names] + names
        for name in names:
            page = self._page(name)
            if page is not None:
                return page
        return None

    def _page(self, name: str) -> bytes | None:
        now = self._clock()
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = _Entry(now)
            if len(self._entries) > self._limits.entries:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(name)
            if now - entry.checked < self._limits.fresh:
                return entry.page
        entry.checked = now
        try:
            self._look(name, entry)
        except OSError as error:
            self._leave_out(name, entry, error.strerror or "it cannot be read")
        return entry.page

    def _look(self, name: str, entry: _Entry) -> None:
        """Read the file if it is another than it was. Raises OSError for one that is there and cannot be read."""
        path = os.path.realpath(os.path.join(self._folder, name))
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            entry.signature = entry.page = None
            entry.trouble = ""
            return
        signature = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
        if signature == entry.signature:
            return
        entry.signature = signature
        if os.path.commonpath([path, self._folder]) != self._folder:
            self._leave_out(name, entry, "it leads out of the folder")
        elif not stat.S_ISREG(found.st_mode) or found.st_size > self._limits.size:
            self._leave_out(name, entry, f"it is no file of at most {self._limits.size} bytes")
        else:
            entry.page = self._read(path)
            entry.trouble = ""

    def _read(self, path: str) -> bytes:
        """What the file holds; nothing that took its place meanwhile can make this wait, or be large."""
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(self._limits.size)

    def _leave_out(self, name: str, entry: _Entry, text: str) -> None:
        entry.page = None
        if entry.trouble == text:
            return
        entry.trouble = text
        self.log.warn("the error page {name} is not used: {text}", name=name, text=text)


def fill(page: bytes, refusal: Refusal, host: bytes = b"") -> bytes:
    """The page with ``{status}``, ``{reason}``, ``{word}``, ``{text}`` and ``{host}`` filled in, all of them escaped.

    Other braces stay as they are, as styles and scripts are full of them.

    :param host: the Host that was asked for, as the visitor wrote it.
    """
    values = {
        b"status": b"%d" % refusal.status,
        b"reason": REASONS[refusal.status],
        b"word": refusal.word.encode("ascii"),
        b"text": refusal.text.encode("ascii", "replace"),
        b"host": host,
    }

    def value(match: re.Match[bytes]) -> bytes:
        return escape(values[match[1]].decode("ascii", "replace")).encode("ascii", "xmlcharrefreplace")

    return _PLACEHOLDER.sub(value, page)
