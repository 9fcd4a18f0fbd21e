"""Whether a visitor takes its response: what it takes by the drop is no progress."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from egtunnel.ingress.http.limits import HTTPLimits

__all__ = ["Progress"]


class Progress:
    """``since``: when the response last moved, by what is worth the name: all that waits, or as much as ``body_rate``
    asks of ``stall`` seconds.
    """

    __slots__ = ("_clock", "_limits", "_taken", "since")

    def __init__(self, limits: HTTPLimits, clock: IReactorTime) -> None:
        self._limits = limits
        self._clock = clock
        self._taken = 0
        self.since = clock.seconds()

    def mark(self) -> None:
        """Time counts from here."""
        self._taken = 0
        self.since = self._clock.seconds()

    def took(self, size: int, more: bool) -> None:
        """The visitor took ``size`` bytes; ``more``: others wait."""
        self._taken += size
        if not more or self._taken >= self._limits.body_rate * self._limits.stall:
            self.mark()

    def stalled(self, now: float) -> bool:
        """Whether it stands still for too long."""
        return now - self.since >= self._limits.stall

    def lingered(self, now: float) -> bool:
        """Whether the visitor has had its time to notice that the response is over."""
        return now - self.since >= self._limits.linger
