"""Wrong tokens, counted for each address: answered later and later, then not at all for a while. Pure."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network

import attrs

__all__ = ["AttemptLimits", "Attempts", "source_of"]

HOUSEHOLD = 64
"""Bits of an IPv6 address that whoever has one line to the internet cannot choose."""


@attrs.frozen
class AttemptLimits:
    """Seconds, and wrong tokens of one address. ``free``: answered at once; the next answer waits ``first``, each one
    more twice as long, ``slowest`` at most. ``refused``: after so many the address is refused for ``rest``.
    ``forget``: without another, after which all is forgotten. ``addresses``: that are remembered.
    """

    free: int = 3
    first: float = 0.25
    slowest: float = 4.0
    refused: int = 20
    rest: float = 300.0
    forget: float = 600.0
    addresses: int = 10_000


@attrs.define
class _Count:
    wrong: int
    last: float
    refused_until: float = 0.0


class Attempts:
    """``now`` is in seconds of a clock that never jumps; ``source`` is what ``source_of`` made of an address."""

    def __init__(self, limits: AttemptLimits) -> None:
        self.limits = limits
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def refused_for(self, source: str, now: float) -> float:
        """Seconds for which nothing of this address is looked at; 0: it may try."""
        count = self._counts.get(source)
        return 0.0 if count is None else max(0.0, count.refused_until - now)

    def wrong(self, source: str, now: float) -> float:
        """Note a wrong token; returns how many seconds its answer should wait."""
        limits = self.limits
        count = self._counts.get(source)
        if count is None or now - count.last >= limits.forget:
            count = self._counts[source] = _Count(0, now)
        count.wrong += 1
        count.last = now
        self._counts.move_to_end(source)
        if len(self._counts) > limits.addresses:
            self._counts.popitem(last=False)
        if count.wrong >= limits.refused:
            count.wrong, count.refused_until = 0, now + limits.rest
        elif count.wrong > limits.free:
            # Bounded before it is a power: a limit may be set so high that the number would be no float.
            return min(limits.first * 2.0 ** min(count.wrong - limits.free - 1, 60), limits.slowest)
        return 0.0


def source_of(peer: str) -> str:
    """The address in a link's ``peer``, ``tcp4:192.0.2.1:4711``; of IPv6 the network of one household."""
    host = peer.partition(":")[2].rpartition(":")[0].strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return host or peer
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), HOUSEHOLD), strict=False))
