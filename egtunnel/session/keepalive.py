"""Heartbeat of one link on an injected clock: ping when idle, dead after two pings in a row without an answer."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Keepalive"]

MOST_UNANSWERED = 2
"""So many pings in a row may stay unanswered before the link is dead."""


class Keepalive:
    """Watches when anything last came. All times in seconds.

    ``interval``: silence before the first ping; ``patience``: how long each ping may stay unanswered. A dead link
    is thus noticed within ``interval + 2 * patience``. Calls ``ping()`` and, once, ``lost()``.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ping: Callable[[], None],
        lost: Callable[[], None],
        interval: float = 15.0,
        patience: float = 10.0,
    ) -> None:
        self.interval = interval
        self.patience = patience
        self._clock = clock
        self._ping = ping
        self._lost = lost
        self._unanswered = 0
        self._last = 0.0
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Watch from now on."""
        self.stop()
        self._unanswered = 0
        self.heard()
        self._call = self._clock.callLater(self.interval, self._due)

    def stop(self) -> None:
        """Watch no longer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def heard(self) -> float:
        """Something came, at the time that is returned; cheap, as it is called for every message."""
        self._last = self._clock.seconds()
        return self._last

    def _due(self) -> None:
        self._call = None
        silence = self._clock.seconds() - self._last
        if silence < self.interval:
            self._unanswered = 0
            self._call = self._clock.callLater(self.interval - silence, self._due)
        elif self._unanswered == MOST_UNANSWERED:
            self._lost()
        else:
            self._unanswered += 1
            self._call = self._clock.callLater(self.patience, self._due)
            self._ping()
