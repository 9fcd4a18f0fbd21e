"""How fast a request's body has to come, so that a visitor cannot hold a connection to the service with a drip."""

from __future__ import annotations

from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.limits import HTTPLimits

__all__ = ["Pace"]


class Pace:
    """Until when a body may stay as it is.

    It has ``body_grace`` seconds to begin with, and each byte earns a share of a second: as much as it takes at
    ``body_rate``. More than ``body_wait`` seconds are never saved up, which is also the longest pause, and what a
    visitor has that waits for the service's word first (``Expect: 100-continue``).
    """

    __slots__ = ("_earned", "_grace", "_moved", "_share", "_wait")

    def __init__(self, head: RequestHead, limits: HTTPLimits, now: float) -> None:
        self._wait = limits.body_wait
        self._share = 1.0 / limits.body_rate if limits.body_rate else float("inf")
        self._grace = min(limits.body_grace, limits.body_wait) if limits.body_rate else limits.body_wait
        expects = any(name == b"Expect" for name, _ in head.fields)
        self._earned = now + (self._wait if expects else self._grace)
        self._moved = now

    def took(self, size: int, now: float) -> None:
        """``size`` bytes came."""
        if size:
            self._moved = now
            self._earned = min(now + self._wait, self._earned + size * self._share)

    def go_on(self, now: float) -> None:
        """Nothing more was wanted for a while, which is not the visitor's fault; now there is."""
        self._moved = now
        self._earned = max(self._earned, now + self._grace)

    def until(self, answered: bool) -> float:
        """When it is too late. Once the answer has begun, both sides may talk as slowly as they want."""
        return self._moved + self._wait if answered else self._earned
