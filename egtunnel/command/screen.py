"""What a person sees of a client on a terminal: URL, QR code, rates, latest requests; or JSON lines for programs."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from twisted.internet.task import LoopingCall

from egtunnel.client.watching import Passed, Watch

__all__ = ["IScreen", "JsonLines", "Screen", "drawn"]

EVERY = 1.0
HOME, REST, HIDE, SHOW = "\x1b[H", "\x1b[J", "\x1b[?25l", "\x1b[?25h"
LINE = "\x1b[K\n"
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


class IScreen(Protocol):
    """Takes what a client says."""

    watch: Watch | None

    def say(self, line: str) -> None:
        """A line for a person."""

    def claimed(self, local: str, url: str) -> None:
        """A tunnel stands."""

    def begin(self, reactor: Any) -> None:
        """The client runs from now on."""


class JsonLines:
    """One object a line: ``{"event": "claimed", "url": ...}``, ``{"event": "said", "text": ...}``."""

    watch: Watch | None = None

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, line: str) -> None:
        """A line for a person."""
        self._write({"event": "said", "text": line})

    def claimed(self, local: str, url: str) -> None:
        """A tunnel stands."""
        self._write({"event": "claimed", "local": local, "url": url})

    def begin(self, reactor: Any) -> None:
        """Nothing to do."""

    def _write(self, value: dict[str, str]) -> None:
        print(json.dumps(value, sort_keys=True), file=self._stream, flush=True)


class Screen:
    """Drawn anew each second, and when something was said."""

    def __init__(self, stream: TextIO, seconds: Callable[[], float]) -> None:
        self.watch: Watch | None = Watch(seconds)
        self.urls: dict[str, str] = {}
        self.said = "connecting"
        self._watch = self.watch
        self._stream = stream
        self._before = (0, 0)
        self._rates = (0.0, 0.0)

    def say(self, line: str) -> None:
        """A line for a person; the last one stays."""
        if not any(line.startswith(f"{url} -> ") for url in self.urls.values()):
            self.said = line
        self._draw()

    def claimed(self, local: str, url: str) -> None:
        """A tunnel stands."""
        self.urls[local] = url
        self.said = "connected"
        self._draw()

    def begin(self, reactor: Any) -> None:
        """Draw from now on, and leave the cursor as it was at the end."""
        self._stream.write(f"{HIDE}\x1b[2J")
        call = LoopingCall(self._tick)
        call.clock = reactor
        call.start(EVERY)
        reactor.addSystemEventTrigger("after", "shutdown", self._end)

    def _tick(self) -> None:
        received, sent = self._watch.received, self._watch.sent
        self._rates = (received - self._before[0]) / EVERY, (sent - self._before[1]) / EVERY
        self._before = received, sent
        self._draw()

    def _draw(self) -> None:
        size = shutil.get_terminal_size()
        lines = drawn(self.urls, self.said, self._watch, self._rates, size.columns, size.lines - 1)
        self._stream.write(HOME + "".join(line + LINE for line in lines) + REST)
        self._stream.flush()

    def _end(self) -> None:
        self._stream.write(SHOW)
        self._stream.flush()


def drawn(
    urls: dict[str, str], said: str, watch: Watch, rates: tuple[float, float], columns: int, height: int
) -> list[str]:
    """The lines of the screen. Pure."""
    lines = [f"egtunnel  {said}"[:columns], ""]
    for local, url in urls.items():
        lines += [f"{BOLD}{url}{PLAIN}", f"  -> {local}"[:columns]]
    figures = [
        "",
        f"connections {watch.now} now, {watch.connections} in all    requests {watch.requests}",
        f"in {_amount(rates[0])}/s ({_amount(watch.received)})    out {_amount(rates[1])}/s ({_amount(watch.sent)})",
        "",
    ]
    latest = [_line(passed)[:columns] for passed in reversed(watch.latest)]
    code = _code(next(iter(urls.values()))) if urls else []
    room = height - len(lines) - len(figures) - min(3, len(latest))
    if code and len(code) <= room and max(map(len, code)) <= columns:
        lines += ["", *code]
    lines += [line[:columns] for line in figures]
    return [*lines, *latest[: max(0, height - len(lines))]]


def _code(url: str) -> list[str]:
    """The URL as a QR code, two rows a line."""
    import segno  # noqa: PLC0415 - only a screen needs it

    out = io.StringIO()
    segno.make(url, micro=False).terminal(out, border=2, compact=True)
    return [line for line in out.getvalue().split("\n") if line]


def _line(passed: Passed) -> str:
    status = "..." if passed.status is None else str(passed.status)
    took = "" if passed.seconds is None else f"{passed.seconds * 1000:.0f} ms"
    shown = "".join(letter if letter.isprintable() else "?" for letter in passed.target)
    return f"{status}  {passed.method:7} {shown}  {took}"


def _amount(number: float) -> str:
    for size, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{number:.0f} B"
