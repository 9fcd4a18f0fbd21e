"""Waiting for the last visitor: nobody new comes in, and who is here may finish."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Drain"]

LOOK = 0.05
"""Seconds between two looks at who is still here."""


class Drain:
    """Fires ``over`` once there is no visitor left, or the grace has passed.

    :param visitors: how many are here.
    :param grace: seconds; 0: as long as it takes.
    """

    def __init__(self, clock: IReactorTime, visitors: Callable[[], int], grace: float) -> None:
        self.over: Deferred[None] = Deferred()
        self._clock = clock
        self._visitors = visitors
        self._end = clock.seconds() + grace if grace else None
        self._call: IDelayedCall | None = None
        self._look()

    def finish(self) -> None:
        """Wait no longer."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        if not self.over.called:
            self.over.callback(None)

    def _look(self) -> None:
        self._call = None
        if not self._visitors() or (self._end is not None and self._clock.seconds() >= self._end):
            self.finish()
        else:
            self._call = self._clock.callLater(LOOK, self._look)
