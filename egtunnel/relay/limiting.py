"""Limits of a tunnel at work: requests judged, connections counted, bandwidth paced."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import IRoute, Visitor, subscriber
from egtunnel.limits.allowance import Allowance, Refusal
from egtunnel.limits.bucket import Rate, nanoseconds
from egtunnel.limits.gate import Gate
from egtunnel.limits.terms import Terms, bandwidth_of, rate_of
from egtunnel.relay.pacing import PacedRoute

__all__ = ["RULE", "Limiter", "Limiting", "read_terms"]

RULE = "limits"
"""Its name among the rules of a claim."""
MEMBERS = ("rate", "burst", "rate-per-address", "connections", "bandwidth-in", "bandwidth-out")
TEXTS = {
    "tunnel": "This tunnel gets more requests than it may.",
    "address": "You send this tunnel more requests than you may.",
}


def read_terms(value: Any) -> Terms:
    """What a claim says of limits. Raises AccessError."""
    if not isinstance(value, dict) or not value or set(value) - set(MEMBERS):
        raise AccessError(f"{RULE}: it must be an object of some of {', '.join(MEMBERS)}")
    burst, connections = value.get("burst", 0), value.get("connections")
    if type(burst) is not int or burst < 0 or ("burst" in value and "rate" not in value):
        raise AccessError(f"{RULE}: burst is a whole number above 0, beside a rate")
    if connections is not None and (type(connections) is not int or connections < 1):
        raise AccessError(f"{RULE}: connections is a whole number above 0")
    try:
        return Terms(
            _text(value, "rate", lambda text: rate_of(text, burst)),
            _text(value, "rate-per-address", rate_of),
            connections,
            _text(value, "bandwidth-in", bandwidth_of),
            _text(value, "bandwidth-out", bandwidth_of),
        )
    except ValueError as error:
        raise AccessError(f"{RULE}: {error}") from None


def _text(value: dict[str, Any], name: str, read: Any) -> Any:
    text = value.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"{name} is a text")
    return read(text)


class Limiting:
    """Makes limiters; ``bounds`` hold for every tunnel, whatever its claim says.

    :param parts: processes that visitors come to: each keeps its equal part of every limit.
    """

    def __init__(self, clock: IReactorTime, bounds: Terms | None = None, parts: int = 1) -> None:
        self._clock = clock
        self._bounds = bounds or Terms()
        self._parts = parts

    def limiter(self, value: Any) -> Limiter | None:
        """The one of a claim, whose value None is none; None: there is nothing to keep. Raises AccessError."""
        terms = self._bounds if value is None else read_terms(value).within(self._bounds)
        return None if terms == Terms() else Limiter(part_of(terms, self._parts), self._clock)


def part_of(terms: Terms, parts: int) -> Terms:
    """An equal part of the limits for each of several processes, at least as much as lets one request through."""
    if parts == 1:
        return terms
    return attrs.evolve(
        terms,
        rate=_slower(terms.rate, parts),
        rate_per_address=_slower(terms.rate_per_address, parts),
        connections=_fewer(terms.connections, parts),
        bandwidth_in=_fewer(terms.bandwidth_in, parts),
        bandwidth_out=_fewer(terms.bandwidth_out, parts),
    )


def _slower(rate: Rate | None, parts: int) -> Rate | None:
    return None if rate is None else Rate(rate.amount, rate.period * parts, max(1, rate.most // parts))


def _fewer(number: int | None, parts: int) -> int | None:
    return None if number is None else max(1, number // parts)


@implementer(IGuard)
class Limiter:
    """Keeps the limits of one place, for all tunnels that stand there one after the other.

    :ivar judges: requests are counted.
    """

    __slots__ = ("_clock", "_gates", "allowance", "judges", "terms")

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
