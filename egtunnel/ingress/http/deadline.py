"""A timer that is cheap to move: setting it is nearly always one attribute write."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Deadline"]


class Deadline:
    """Calls ``passed`` once when the last time set has come; holds at most one delayed call.

    The delayed call stays where it is when the deadline moves later or is cleared; when it fires early it moves itself.
    """

    __slots__ = ("_at", "_call", "_clock", "_fires", "_passed")

    def __init__(self, clock: IReactorTime, passed: Callable[[], None]) -> None:
        self._clock = clock
        self._passed = passed
        self._at: float | None = None
        self._call: IDelayedCall | None = None
        self._fires = 0.0

    @property
    def pending(self) -> bool:
        """Whether a time is set."""
        return self._at is not None

    def set(self, seconds: float) -> None:
        """Let it pass ``seconds`` from now; replaces what was set."""
        self._at = at = self._clock.seconds() + seconds
        if self._call is None:
            self._schedule(at)
        elif at < self._fires:
            self._call.cancel()
            self._schedule(at)

    def clear(self) -> None:
        """Let it not pass."""
        self._at = None

    def cancel(self) -> None:
        """Let it not pass, and hold no delayed call."""
        self._at = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _schedule(self, at: float) -> None:
        self._fires = at
        self._call = self._clock.callLater(max(0.0, at - self._clock.seconds()), self._fired)

    def _fired(self) -> None:
        self._call = None
        if self._at is None:
            return
        if self._at > self._clock.seconds():
            self._schedule(self._at)
        else:
            self._at = None
            self._passed()
