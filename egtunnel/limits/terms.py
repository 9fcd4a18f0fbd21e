"""What a tunnel is limited to, as it is written (``100/s``, ``1M``) and as a relay's upper bounds leave it. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

import attrs

from egtunnel.limits.bucket import Rate

__all__ = ["Terms", "bandwidth_of", "rate_of"]

MOST = 10**12
"""The largest number that is taken: arithmetic with what a peer writes stays small."""
BURSTS = 20
"""A burst that nobody chose is what comes in this part of a second: no second sees more than 5 % above the rate."""

_PERIODS = {"s": 1, "m": 60, "h": 3_600}
_RATE = re.compile(r"([0-9]{1,13})/([smh])", re.ASCII)
_BANDWIDTH = re.compile(r"([0-9]{1,13})([kMG]?)", re.ASCII)
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def rate_of(text: str, burst: int = 0) -> Rate:
    """``100/s``, ``600/m``, ``50/h``. ``burst`` 0: a twentieth of a second's worth, at least 1. Raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None or not 0 <= burst <= MOST:
        raise ValueError("a rate is written like 100/s, 600/m or 50/h")
    amount, period = _in_range(int(match[1])), _PERIODS[match[2]]
    return Rate(amount, period, burst or max(1, amount // (period * BURSTS)))


def bandwidth_of(text: str) -> int:
    """Bytes a second: ``500k``, ``1M`` (10**6), ``2G``, or a plain number. Raises ValueError."""
    match = _BANDWIDTH.fullmatch(text)
    if match is None:
        raise ValueError("a bandwidth is written like 500k, 1M or 2G, in bytes a second")
    return _in_range(int(match[1]) * _UNITS[match[2]])


@attrs.frozen
class Terms:
    """Limits of one tunnel; None: none.

    ``rate``, ``rate_per_address``: requests (TCP: connections). ``connections``: at once. ``bandwidth_in``: bytes a
    second from visitors, ``bandwidth_out``: to them.
    """

    rate: Rate | None = None
    rate_per_address: Rate | None = None
    connections: int | None = None
    bandwidth_in: int | None = None
    bandwidth_out: int | None = None

    def within(self, bounds: Terms) -> Terms:
        """The stricter of both, limit by limit."""
        return Terms(
            _slower(self.rate, bounds.rate),
            _slower(self.rate_per_address, bounds.rate_per_address),
            _fewer(self.connections, bounds.connections),
            _fewer(self.bandwidth_in, bounds.bandwidth_in),
            _fewer(self.bandwidth_out, bounds.bandwidth_out),
        )


def _fewer(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


def _slower(one: Rate | None, other: Rate | None) -> Rate | None:
    """The one that brings less, with the smaller burst of both: neither may be a way around the other."""
    if one is None or other is None:
        return one or other
    slower = min(one, other, key=lambda rate: Fraction(rate.amount, rate.period))
    return attrs.evolve(slower, burst=min(one.most, other.most))


def _in_range(number: int) -> int:
    if not 0 < number <= MOST:
        raise ValueError(f"a limit is above 0 and at most {MOST}")
    return number
