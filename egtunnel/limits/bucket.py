"""Token buckets with exact arithmetic, pure: moments are whole nanoseconds of a clock that never jumps.

Floats would lose what a bucket gains between two requests a microsecond apart, once the clock is old. Here nothing is
rounded: the level is counted in units of which a request costs ``10**9 * period`` and a nanosecond brings ``amount``.
"""

from __future__ import annotations

import attrs

__all__ = ["Bucket", "Rate", "nanoseconds"]

SECOND = 1_000_000_000


def nanoseconds(seconds: float) -> int:
    """A moment of the reactor's clock as a bucket takes it."""
    return round(seconds * SECOND)


@attrs.frozen
class Rate:
    """``amount`` in each ``period`` seconds, and up to ``burst`` at once after a quiet time; all above 0."""

    amount: int
    period: int = 1
    burst: int = 0

    def __attrs_post_init__(self) -> None:
        if self.amount < 1 or self.period < 1 or self.burst < 0:
            raise ValueError("a rate is a positive amount in a positive time")

    @property
    def most(self) -> int:
        """What a full bucket holds."""
        return self.burst or self.amount


class Bucket:
    """Full at first. ``now`` that lies before an earlier one counts as that one."""

    __slots__ = ("_at", "_cost", "_level", "_most", "rate")

    def __init__(self, rate: Rate, now: int) -> None:
        self.rate = rate
        self._cost = SECOND * rate.period
        self._most = rate.most * self._cost
        self._level = self._most
        self._at = now

    def take(self, now: int, count: int = 1) -> bool:
        """Take ``count``, if there is as much; otherwise nothing."""
        self._fill(now)
        cost = count * self._cost
        if cost > self._level:
            return False
        self._level -= cost
        return True

    def spend(self, now: int, count: int) -> None:
        """Take what was used already, below zero if need be: the debt is waited for."""
        self._fill(now)
        self._level -= count * self._cost

    def available(self, now: int) -> int:
        """How much could be taken now."""
        self._fill(now)
        return max(0, self._level // self._cost)

    def wait(self, now: int, count: int = 1) -> int:
        """Nanoseconds until ``count`` can be taken: not one too few, nor too many. More than a full bucket: as full."""
        self._fill(now)
        missing = min(count * self._cost, self._most) - self._level
        return max(0, -(-missing // self.rate.amount))

    def until_full(self, now: int) -> int:
        """Nanoseconds until the bucket is full: an idle one can be forgotten then."""
        return self.wait(now, self.rate.most)

    def _fill(self, now: int) -> None:
        if now > self._at:
            self._level = min(self._most, self._level + (now - self._at) * self.rate.amount)
            self._at = now
