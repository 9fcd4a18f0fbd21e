"""The last moments of a client whose names others serve, too: what is under way is finished."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from egtunnel.session.session import Session

__all__ = ["drained"]

STEP = 0.05
"""Seconds between two looks."""


def drained(session: Session, clock: IReactorTime, seconds: float) -> Deferred[None]:
    """Fires once the session has no channels any more, has lost its link, or after so many seconds."""
    over: Deferred[None] = Deferred()
    until = clock.seconds() + seconds

    def look() -> None:
        if not session.channels or not session.online or clock.seconds() >= until:
            over.callback(None)
        else:
            clock.callLater(STEP, look)

    clock.callLater(STEP, look)  # visitors whom the relay sent before it heard of our leaving are on their way
    return over
