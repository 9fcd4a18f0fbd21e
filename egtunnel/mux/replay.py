"""Counted frames that have left and that the peer has not acknowledged: kept, to be sent again on the next link."""

from __future__ import annotations

from collections import deque

from egtunnel.errors import FlowControlError
from egtunnel.mux.budget import Budget

__all__ = ["Replay"]

Pieces = list[bytes | memoryview]


class Replay:
    """What is kept, by position: the number of bytes of counted frames since the session began.

    Frames are kept as they were sent, in batches and without a copy. All that is kept counts in the budget; how much it
    may be is for the sender to mind (``Flight``).
    """

    __slots__ = ("_again", "_budget", "_kept", "held")

    def __init__(self, budget: Budget) -> None:
        self.held = 0
        self._budget = budget
        self._kept: deque[tuple[int, int, Pieces]] = deque()
        self._again: deque[tuple[int, Pieces]] = deque()

    def __bool__(self) -> bool:
        """Whether frames wait to be sent again; until they have, nothing new may leave."""
        return bool(self._again)

    def keep(self, pieces: Pieces, size: int, position: int) -> None:
        """Whole frames of ``size`` bytes have left and end at ``position``; ``pieces`` is not changed any more."""
        self._kept.append((position, size, pieces))
        self.held += size
        self._budget.hold(size)

    def acknowledge(self, position: int) -> None:
        """The peer has everything up to ``position``; only whole batches are let go."""
        kept = self._kept
        while kept and kept[0][0] <= position:
            size = kept.popleft()[1]
            self.held -= size
            self._budget.release(size)

    def rewind(self, position: int) -> None:
        """Send again everything after ``position``. Raises FlowControlError unless a frame begins there."""
        self.acknowledge(position)
        again: deque[tuple[int, Pieces]] = deque()
        for end, size, pieces in self._kept:
            skip = max(position - (end - size), 0)
            again.append((size - skip, _after(pieces, skip) if skip else pieces))
        self._again = again

    def take(self, limit: int) -> Pieces:
        """What is to be sent again next, about ``limit`` bytes."""
        pieces: Pieces = []
        again = self._again
        while again and limit > 0:
            size, batch = again.popleft()
            limit -= size
            pieces += batch
        return pieces

    def clear(self) -> None:
        """The session is over; nothing is kept any more."""
        self._again.clear()
        self._kept.clear()
        self._budget.release(self.held)
        self.held = 0


def _after(pieces: Pieces, skip: int) -> Pieces:
    """The pieces after so many bytes, at which a frame has to begin."""
    for number, piece in enumerate(pieces):
        if skip == 0:
            return pieces[number:]
        skip -= len(piece)
        if skip < 0:
            break
    raise FlowControlError("a position within a frame")
