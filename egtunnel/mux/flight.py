"""How many bytes may be under way on the link: enough to keep it busy, and no more in front of the next small request.

What the kernel has taken cannot be overtaken any more, and its buffers are large: on a fast link a bulk transfer would
put megabytes in front of everybody else. So only so much is in flight as the peer's ACKs show to be of use.
"""

from __future__ import annotations

from egtunnel.errors import FlowControlError
from egtunnel.mux.budget import Budget
from egtunnel.mux.frames import MAX_PAYLOAD
from egtunnel.mux.windows import SHORT_PATH

__all__ = ["ACK_EVERY", "Flight"]

ACK_EVERY = 16_384
"""A receiver acknowledges after so many counted bytes at the latest."""
GAIN = 2.0
"""So many times bandwidth x delay may be under way; above 1, so that the measured bandwidth can grow."""
STRETCH = 4
"""So many times the limit may be under way for a newcomer, which sends little, or for a channel that is alone."""
LEAST = 2 * MAX_PAYLOAD
"""Bytes that may be under way whatever the budget: with less a frame of full length would wait for ever."""
FORGET = 0.9
"""What is left of an old bandwidth with each new measurement that is lower."""


class Flight:
    """The bytes between what was sent and what the peer has acknowledged, and the limit on them.

    ``most`` is the limit of limits, for frames of any type: what is under way is kept to be sent again (``Replay``).
    ``floor`` is the limit on short paths and at the start. On longer ones the limit is ``GAIN`` times bandwidth x
    delay, the bandwidth being measured from ACK to ACK over a round trip at least. Where memory is scarce it is less:
    never more than a part of the budget, and the floor for everybody while the budget is tight.
    """

    __slots__ = ("_bandwidth", "_budget", "_floor", "_mark", "_mark_time", "_most", "acked", "limit", "sent")

    def __init__(self, floor: int, most: int, budget: Budget) -> None:
        self._floor = floor
        self._most = min(most, max(budget.share, LEAST))
        self._budget = budget
        self._bandwidth = 0.0
        self._mark = 0
        self._mark_time = 0.0
        self.sent = 0
        self.acked = 0
        self.limit = floor

    def room(self, urgent: bool) -> int:
        """How many bytes more may leave now; may be negative. ``urgent``: those of ``Turns.urgent``."""
        stretched = STRETCH * self.limit if urgent else self.limit
        limit = self._floor if self._budget.tight else stretched
        return min(limit, self._most) - self.sent + self.acked

    @property
    def owed(self) -> bool:
        """Whether something is under way."""
        return self.sent > self.acked

    @property
    def full(self) -> bool:
        """Whether nothing more may leave, not even frames other than DATA."""
        return self.sent - self.acked >= self._most

    def acknowledge(self, position: int, now: float, round_trip: float) -> None:
        """The peer has everything up to ``position``; times in seconds. Raises FlowControlError if that cannot be."""
        if not self.acked <= position <= self.sent:
            raise FlowControlError(f"an ACK of {position} bytes, {self.acked} acknowledged and {self.sent} sent")
        self.acked = position
        elapsed = now - self._mark_time
        if round_trip <= SHORT_PATH:
            self.limit = self._floor
        elif elapsed >= round_trip:
            self._measure((position - self._mark) / elapsed, round_trip)
            self._mark, self._mark_time = position, now

    def _measure(self, rate: float, round_trip: float) -> None:
        self._bandwidth = max(rate, self._bandwidth * FORGET)
        self.limit = max(self._floor, int(GAIN * self._bandwidth * round_trip))
