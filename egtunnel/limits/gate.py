"""One direction's bandwidth, shared by all connections of a tunnel in turns: who is too fast is read from later. Pure.

Nothing is buffered: a reader is paused after what it has read, and the peer's own flow control does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from egtunnel.limits.bucket import nanoseconds
from egtunnel.limits.pacing import Pacer

__all__ = ["Gate", "Reader"]


class Reader(Protocol):
    """A connection's side that is read; hashable. Neither call may report bytes before it returns."""

    def pauseProducing(self) -> None:
        """Read no more."""

    def resumeProducing(self) -> None:
        """Read again, as far as nobody else holds it."""


class Gate:
    """Lets its readers through at ``rate`` bytes a second together; those that wait have their turn one by one.

    ``seconds`` and ``call_later`` are those of the reactor. A turn is paid for in advance, and settled by what was
    read: a reader that was let through and has nothing to say keeps nobody waiting.
    """

    __slots__ = ("_call_later", "_later", "_pacer", "_paid", "_seconds", "_turn", "_waiting")

    def __init__(self, rate: int, seconds: Callable[[], float], call_later: Callable[..., Any]) -> None:
        self._seconds = seconds
        self._call_later = call_later
        self._pacer = Pacer(rate, self._now())
        self._turn = max(1, self._pacer.allowed(self._now()) // 2)
        self._waiting: dict[Reader, None] = {}
        self._paid: set[Reader] = set()
        self._later: Any = None

    @property
    def waiting(self) -> int:
        """Readers that are paused here."""
        return len(self._waiting)

    def read(self, reader: Reader, count: int) -> None:
        """So many bytes came from a reader; it is paused if others wait, or no more is allowed for now."""
        now = self._now()
        paid = self._turn if reader in self._paid else 0
        self._paid.discard(reader)
        self._pacer.spend(now, count - paid)
        if reader not in self._waiting and (self._waiting or not self._pacer.allowed(now)):
            self._waiting[reader] = None
            reader.pauseProducing()
            self._wait()

    def gone(self, reader: Reader) -> None:
        """A connection is over; it is not resumed any more."""
        self._paid.discard(reader)
        self._waiting.pop(reader, None)
        if not self._waiting and self._later is not None:
            self._later.cancel()
            self._later = None

    def _wait(self) -> None:
        if self._later is None and self._waiting:
            self._later = self._call_later(self._pacer.wait(self._now()), self._let_through)

    def _let_through(self) -> None:
        self._later = None
        now = self._now()
        while self._waiting and self._pacer.allowed(now):
            reader = next(iter(self._waiting))
            del self._waiting[reader]
            self._paid.add(reader)
            self._pacer.spend(now, self._turn)
            reader.resumeProducing()
        self._wait()

    def _now(self) -> int:
        return nanoseconds(self._seconds())
