"""What keeps the limits of one place: requests judged, connections bounded, bandwidth paced."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from egtunnel.guard import Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import IRoute, Visitor, subscriber
from egtunnel.limits.allowance import Allowance, Refusal
from egtunnel.limits.bucket import nanoseconds
from egtunnel.limits.gate import Gate
from egtunnel.limits.terms import Terms
from egtunnel.relay.pacing import PacedRoute

__all__ = ["IQuotas", "Limiter"]

TEXTS = {
    "tunnel": "This tunnel gets more requests than it may.",
    "address": "You send this tunnel more requests than you may.",
}


class IQuotas(Protocol):
    """Bytes a month, by token."""

    def set(self, token: str, most: int) -> None:
        """So many."""

    def retry_after(self, token: str) -> int:
        """Seconds until bytes may go again; 0: now."""

    def left(self, token: str) -> int | None:
        """Bytes that may still go; None: any number."""


@implementer(IGuard)
class Limiter:
    """Keeps the limits of one place, for all tunnels that stand there one after the other.

    :ivar judges: requests are counted.
    """

    __slots__ = ("__weakref__", "_clock", "_gates", "allowance", "judges", "terms")

    def __init__(self, terms: Terms, clock: IReactorTime) -> None:
        self.terms = terms
        self.allowance = Allowance(terms, nanoseconds(clock.seconds()))
        self.judges = terms.rate is not None or terms.rate_per_address is not None
        self._clock = clock
        self._gates = self._gate(terms.bandwidth_in), self._gate(terms.bandwidth_out)

    def _gate(self, bandwidth: int | None) -> Gate | None:
        return None if bandwidth is None else Gate(bandwidth, self._clock.seconds, self._clock.callLater)

    @property
    def connections(self) -> int | None:
        """How many visitors' connections, or requests, there may be at once; None: any number."""
        return self.terms.connections

    def route(self, route: IRoute) -> IRoute:
        """The way to the upstream, paced if there is a bandwidth."""
        return route if self._gates == (None, None) else PacedRoute(route, *self._gates)

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """Whether one more request may come now."""
        refusal = self._refusal(visitor)
        if refusal is None:
            return None
        fields = tuple((name.encode("ascii"), value.encode("ascii")) for name, value in refusal.fields)
        return Denial(429, f"over-{refusal.limit}-rate", TEXTS[refusal.limit], fields)

    def admits(self, visitor: Visitor) -> bool:
        """Whether one more connection may come now."""
        return self._refusal(visitor) is None

    def state(self) -> dict[str, Any]:
        """What is left and how many were refused, by limit: for people."""
        now = nanoseconds(self._clock.seconds())
        return {"left": self.allowance.left(now), "refused": dict(self.allowance.refused)}

    def _refusal(self, visitor: Visitor) -> Refusal | None:
        return self.allowance.judge(subscriber(visitor.host), nanoseconds(self._clock.seconds()))
