"""Asks the store, twice a second, what was revoked, by whichever relay: sessions and cookies of it end at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.errors import StoreError

__all__ = ["RevocationLimits", "Revocations"]


@attrs.frozen
class RevocationLimits:
    """``interval``: seconds between two looks. ``overlap``: seconds by which clocks of relays may differ."""

    interval: float = 0.5
    overlap: float = 60.0


class Revocations:
    """Tells each revocation once; those of a time in which the store was away, when it is back.

    :param since: asks the store for ids revoked at or after a moment: ``rows.tokens.revoked_since``, or of shares.
    :param tell: takes one id.
    :param wall: the time of day, in seconds since 1970.
    """

    log = Logger()

    def __init__(
        self,
        since: Callable[[float], Deferred[list[str]]],
        tell: Callable[[str], None],
        clock: IReactorTime,
        wall: Callable[[], float],
        limits: RevocationLimits | None = None,
    ) -> None:
        self.limits = limits or RevocationLimits()
        self._since = since
        self._tell = tell
        self._clock = clock
        self._wall = wall
        self._asked = wall()
        self._told: set[str] = set()
        self._call: IDelayedCall | None = None
        self._running = False

    def start(self) -> None:
        """Look now, and from now on."""
        self._running = True
        self._look()

    def stop(self) -> None:
        """Look no more."""
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        moment = self._wall()
        self._since(self._asked - self.limits.overlap).addCallbacks(
            self._found, self._failed, callbackArgs=(moment,)
        ).addErrback(self._broken).addCallback(self._again)

    def _found(self, ids: Iterable[str], moment: float) -> None:
        found = set(ids)
        new, self._told = found - self._told, found  # what is no longer within the overlap is not asked for again
        self._asked = moment
        for name in sorted(new) if self._running else ():
            self._tell(name)

    def _failed(self, reason: Failure) -> None:
        reason.trap(StoreError)

    def _broken(self, reason: Failure) -> None:
        self.log.failure("what was revoked could not be told", failure=reason)

    def _again(self, _: object) -> None:
        if self._running:
            self._call = self._clock.callLater(self.limits.interval, self._look)
