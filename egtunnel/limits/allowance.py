"""One tunnel's requests and connections, judged by its terms and counted. Pure: the moment is an argument."""

from __future__ import annotations

from collections import OrderedDict

import attrs

from egtunnel.limits.bucket import Bucket, Rate
from egtunnel.limits.headers import policy_value, rate_limit_value, retry_after
from egtunnel.limits.terms import Terms

__all__ = ["Allowance", "Refusal"]

ADDRESSES = 10_000
"""Addresses a tunnel remembers; the one that was silent longest is forgotten first."""


@attrs.frozen
class Refusal:
    """Which limit (``tunnel`` or ``address``) refused a request, and the fields a 429 says it with."""

    limit: str
    fields: tuple[tuple[str, str], ...]


class Allowance:
    """What is left of a tunnel's ``terms``; ``refused`` counts by limit: ``tunnel``, ``address``, ``connections``."""

    __slots__ = ("_addresses", "_most", "_tunnel", "connections", "refused", "terms")

    def __init__(self, terms: Terms, now: int, addresses: int = ADDRESSES) -> None:
        """``now``: nanoseconds. ``addresses``: as many are remembered at most."""
        self.terms = terms
        self.connections = 0
        self.refused = {"tunnel": 0, "address": 0, "connections": 0}
        self._tunnel = Bucket(terms.rate, now) if terms.rate is not None else None
        self._addresses: OrderedDict[str, Bucket] = OrderedDict()
        self._most = addresses

    def judge(self, address: str, now: int) -> Refusal | None:
        """One request of an address (an IPv6 one: its network). None: it may pass, and is counted.

        What one limit refuses costs nothing of the other: a visitor who is too fast leaves the tunnel to the rest.
        """
        rate = self.terms.rate_per_address
        own = self._of(address, rate, now) if rate is not None else None
        if own is not None and not own.available(now):
            return self._refuse("address", own, now)
        if self._tunnel is not None and not self._tunnel.take(now):
            return self._refuse("tunnel", self._tunnel, now)
        if own is not None:
            own.take(now)
        return None

    def enter(self) -> bool:
        """One connection more, if there may be; who was let in says ``leave`` once."""
        most = self.terms.connections
        if most is not None and self.connections >= most:
            self.refused["connections"] += 1
            return False
        self.connections += 1
        return True

    def leave(self) -> None:
        """A connection that had entered is over."""
        self.connections -= 1

    def left(self, now: int) -> dict[str, int]:
        """What may still come at this moment, by limit; a limit that is not set does not appear."""
        left = {}
        if self._tunnel is not None:
            left["requests"] = self._tunnel.available(now)
        if self.terms.connections is not None:
            left["connections"] = max(0, self.terms.connections - self.connections)
        return left

    @property
    def addresses(self) -> int:
        """How many are remembered."""
        return len(self._addresses)

    def _of(self, address: str, rate: Rate, now: int) -> Bucket:
        bucket = self._addresses.get(address)
        if bucket is not None:
            self._addresses.move_to_end(address)
            return bucket
        if len(self._addresses) >= self._most:
            self._addresses.popitem(last=False)
        bucket = self._addresses[address] = Bucket(rate, now)
        return bucket

    def _refuse(self, limit: str, bucket: Bucket, now: int) -> Refusal:
        self.refused[limit] += 1
        fields = (
            ("Retry-After", str(retry_after(bucket, now))),
            ("RateLimit", rate_limit_value(limit, bucket, now)),
            ("RateLimit-Policy", policy_value(limit, bucket)),
        )
        return Refusal(limit, fields)
