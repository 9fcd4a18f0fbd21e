"""Whether a server takes visitors: pure, moments are arguments."""

from __future__ import annotations

import attrs

__all__ = ["Health", "ServerLimits"]


@attrs.frozen
class ServerLimits:
    """Of the servers of one shared name; times in seconds.

    ``servers``: at once. ``tries``: to how many of them one visitor is sent until one takes it; ``patience``: how long
    it waits for each while there is another. After ``failures`` in a row one rests for ``rest``, after each further
    failure twice as long, up to ``longest_rest``.
    """

    servers: int = 32
    tries: int = 3
    patience: float = 3.0
    failures: int = 3
    rest: float = 10.0
    longest_rest: float = 60.0


class Health:
    """What became of the dials to one server.

    After a rest one visitor asks whether it is well again; the others pass it over until that one has its answer.
    ``until``: the moment at which the last rest ends.
    """

    __slots__ = ("_asked", "_limits", "_rest", "failures", "until")

    def __init__(self, limits: ServerLimits) -> None:
        self.failures = 0
        self.until = 0.0
        self._limits = limits
        self._rest = limits.rest
        self._asked = False

    def ready(self, now: float) -> bool:
        """Whether a visitor may be sent to it."""
        return now >= self.until and not self._asked

    def dialed(self) -> None:
        """A visitor is on its way."""
        self._asked = self.failures >= self._limits.failures

    def succeeded(self) -> None:
        """It took a visitor."""
        self.failures = 0
        self.until = 0.0
        self._rest = self._limits.rest
        self._asked = False

    def failed(self, now: float) -> None:
        """It did not; while it rests that changes nothing."""
        self._asked = False
        self.failures += 1
        if self.failures >= self._limits.failures and now >= self.until:
            self.until = now + self._rest
            self._rest = min(self._rest * 2, self._limits.longest_rest)

    def gave_up(self) -> None:
        """A visitor left before there was an answer."""
        self._asked = False
