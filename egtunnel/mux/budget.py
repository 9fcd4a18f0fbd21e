"""Memory budgets: how many bytes are held for a session, and, through its parent, for all sessions of a relay."""

from __future__ import annotations

from egtunnel.mux.windows import INITIAL_WINDOW, MAX_WINDOW, MIN_WINDOW

__all__ = ["SHARE", "Budget"]

SHARE = 4
"""What is kept to be sent again is no more than this part of a budget: it cannot be let go before the peer has it, and
would be held against channels that can do nothing about it.
"""

MOST_SHARE = 8
"""No window grows beyond this part of a session's budget: a few readers that stop must not use it up."""


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
        """The most that may be kept to be sent again, bytes."""
        return self.limit // SHARE

    @property
    def tight(self) -> bool:
        """Whether more than half of this budget or a parent's is used."""
        return 2 * self.held > self.limit or (self.parent is not None and self.parent.tight)

    @property
    def exceeded(self) -> bool:
        """Whether more is held than allowed, here or in a parent."""
        return self.held > self.limit or (self.parent is not None and self.parent.exceeded)

    @property
    def largest_window(self) -> int:
        """To which receive windows may grow, bytes."""
        return min(MAX_WINDOW, self.limit // MOST_SHARE)

    def window(self) -> int:
        """The receive window a new channel starts with now, bytes."""
        return MIN_WINDOW if self.tight else INITIAL_WINDOW
