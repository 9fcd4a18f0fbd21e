"""Rules for visitors that a test decides."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from egtunnel.guard import Asked, IGuard, Verdict
from egtunnel.interfaces import Visitor

__all__ = ["Decided", "Deciding", "Reading"]


@implementer(IGuard)
class Decided:
    """Says the same to everybody, at once; ``withholds`` a header."""

    def __init__(self, verdict: Verdict | Exception = None, withholds: bytes = b"") -> None:
        self.verdict = verdict
        self.withholds = withholds
        self.asked: list[Asked] = []
        self.visitors: list[Visitor] = []

    def judge(self, asked: Asked, visitor: Visitor) -> Any:
        self.asked.append(asked)
        self.visitors.append(visitor)
        if self.withholds:
            asked.withhold(self.withholds)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def admits(self, visitor: Visitor) -> bool:
        self.visitors.append(visitor)
        return self.verdict is None


class Deciding(Decided):
    """Says later what a test fires ``deciding`` with; counts those that were cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.deciding: list[Deferred[Any]] = []
        self.cancelled = 0

    def judge(self, asked: Asked, visitor: Visitor) -> Any:
        super().judge(asked, visitor)
        self.deciding.append(Deferred(self._cancel))
        return self.deciding[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1


class Reading(Decided):
    """Reads up to ``most`` bytes of the body, and then says what it says to everybody."""

    def __init__(self, most: int, verdict: Verdict = None) -> None:
        super().__init__(verdict)
        self.most = most
        self.read: list[bytes] = []

    def judge(self, asked: Asked, visitor: Visitor) -> Any:
        super().judge(asked, visitor)
        return asked.read_body(self.most).addCallback(self._decide)

    def _decide(self, body: bytes) -> Verdict | Exception:
        self.read.append(body)
        return self.verdict
