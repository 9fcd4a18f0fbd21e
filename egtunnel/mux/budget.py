"""Memory budgets: how many bytes are held for a session, and, through its parent, for all sessions of a relay."""

from __future__ import annotations

from egtunnel.mux.windows import INITIAL_WINDOW, MIN_WINDOW

__all__ = ["SHARE", "Budget"]

SHARE = 4
"""No single cause may hold more than this part of a budget: not one grown window, and not what is kept to be sent
again, which cannot be let go before the peer has it and would be held against channels that can do nothing about it.
"""


class Budget:
    """Counts the bytes that wait in channels, in both directions, against a hard limit.

    While under half of the limit is used, windows and queues have their full size. Above, new and returning windows
    shrink to ``MIN_WINDOW`` and producers are paused at once. Above the limit itself the channel that holds the most
    is reset (``Mux.receive`` does it).
    """

    __slots__ = ("held", "limit", "parent", "peak")

    def __init__(self, limit: int, parent: Budget | None = None) -> None:
        self.limit = limit
        self.parent = parent
        self.held = 0
        self.peak = 0

    def hold(self, size: int) -> None:
        """``size`` bytes more are held."""
        self.held += size
        self.peak = max(self.peak, self.held)
        if self.parent is not None:
            self.parent.hold(size)

    def release(self, size: int) -> None:
        """``size`` bytes are no longer held."""
        self.held -= size
        if self.parent is not None:
            self.parent.release(size)

    @property
    def share(self) -> int:
        """The most that one cause may hold, bytes."""
        return self.limit // SHARE

    @property
    def tight(self) -> bool:
        """Whether more than half of this budget or a parent's is used."""
        return 2 * self.held > self.limit or (self.parent is not None and self.parent.tight)

    @property
    def exceeded(self) -> bool:
        """Whether more is held than allowed, here or in a parent."""
        return self.held > self.limit or (self.parent is not None and self.parent.exceeded)

    def window(self) -> int:
        """The receive window a new channel starts with now, bytes."""
        return MIN_WINDOW if self.tight else INITIAL_WINDOW
