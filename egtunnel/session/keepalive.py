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
    is thus noticed within ``interval + 2 * patience``. While the peer owes us something (``owed()``), silence is no
    good sign: with a ``hurry``, none of these times is longer than that then. Calls ``ping()`` and, once, ``lost()``.

    ``last``: when anything last came.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ping: Callable[[], None],
        lost: Callable[[], None],
        interval: float = 15.0,
        patience: float = 10.0,
        owed: Callable[[], bool] = lambda: False,
        hurry: float = 0.0,
    ) -> None:
        self.interval = interval
        self.patience = patience
        self._clock = clock
        self._ping = ping
        self._lost = lost
        self._owed = owed
        self._hurry = hurry
        self._unanswered = 0
        self._asked = 0.0
        self.last = 0.0
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Watch from now on."""
        self.stop()
        self._unanswered = 0
        self.heard()
        self._call = self._clock.callLater(min(self.interval, self._hurry or self.interval), self._due)

    def doubt(self) -> None:
        """Something happened that may have cut the link: ask whether it stands, in a hurry."""
        if self._call is not None and not self._unanswered:
            self._call.cancel()
            self._ask(self._hurry or self.patience)

    def stop(self) -> None:
        """Watch no longer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def heard(self) -> float:
        """Something came, at the time that is returned; cheap, as it is called for every message."""
        self.last = self._clock.seconds()
        return self.last

    def _due(self) -> None:
        self._call = None
        silence = self._clock.seconds() - self.last
        hurry = self._hurry if self._hurry and self._owed() else 0.0
        if self._unanswered and self.last >= self._asked:
            self._unanswered = 0
        if self._unanswered == MOST_UNANSWERED:
            self._lost()
        elif self._unanswered or silence >= (hurry or self.interval):
            self._ask(hurry or self.patience)
        else:
            wait = (hurry or self.interval) - silence
            self._call = self._clock.callLater(min(wait, self._hurry or wait), self._due)

    def _ask(self, patience: float) -> None:
        self._unanswered += 1
        self._asked = self._clock.seconds()
        self._call = self._clock.callLater(patience, self._due)
        self._ping()
