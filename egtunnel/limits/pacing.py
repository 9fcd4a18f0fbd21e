"""Bandwidth, kept by pacing: how many bytes may go now, and when more. Pure; nothing is held back in a buffer."""

from __future__ import annotations

from egtunnel.limits.bucket import SECOND, Bucket, Rate

__all__ = ["Pacer"]

SMALLEST = 1_024
"""Bytes that are worth a turn: a slower drip would cost more in headers and system calls than it carries."""
TURNS = 20
"""Turns a second in which what is allowed is let go: 50 ms are the most by which it comes early."""


class Pacer:
    """The bytes of one direction, of all connections that share the limit.

    A reader asks ``allowed`` before it reads, ``spend``s what came, and if nothing is allowed pauses for ``wait``: the
    peer's own flow control does the rest.
    """

    __slots__ = ("_bucket", "_quantum")

    def __init__(self, rate: int, now: int) -> None:
        """``rate``: bytes a second; above 0."""
        burst = max(SMALLEST, rate // TURNS)
        self._bucket = Bucket(Rate(rate, 1, burst), now)
        self._quantum = min(burst, max(SMALLEST, rate // TURNS // 2))

    def allowed(self, now: int) -> int:
        """Bytes that may go now; 0: none before ``wait`` has passed."""
        available = self._bucket.available(now)
        return available if available >= self._quantum else 0

    def spend(self, now: int, count: int) -> None:
        """So many went. More than was allowed is waited for later, so the rate is kept all the same."""
        self._bucket.spend(now, count)

    def wait(self, now: int) -> float:
        """Seconds until ``allowed`` is not 0; never too short."""
        return (self._bucket.wait(now, self._quantum) + 1) / SECOND if not self.allowed(now) else 0.0
