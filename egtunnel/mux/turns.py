"""Whose turn it is to send: channels with data waiting are served round robin, newcomers first."""

from __future__ import annotations

from collections import deque

from egtunnel.mux.channel import Channel

__all__ = ["Turns"]

FRESH_IN_A_ROW = 8
"""After so many turns of newcomers one of the waiting channels is served, so that bulk never starves."""


class Turns:
    """Deficit round robin with exact quanta (a stream can be cut anywhere, so no deficit is ever carried over).

    A channel that had nothing to send and now has goes to the newcomers and is served before those that have sent their
    quantum and have more: a small request never waits behind downloads (the idea of fq_codel, RFC 8290 section 4.1).
    """

    __slots__ = ("_fresh", "_row", "_waiting")

    def __init__(self) -> None:
        self._fresh: deque[Channel] = deque()
        self._waiting: deque[Channel] = deque()
        self._row = 0

    def __bool__(self) -> bool:
        return bool(self._fresh or self._waiting)

    @property
    def urgent(self) -> bool:
        """Whether the next turn is a newcomer's, or that of the only one who has something to send."""
        if self._fresh:
            return self._row < FRESH_IN_A_ROW or not self._waiting
        return len(self._waiting) == 1

    def join(self, channel: Channel) -> None:
        """``channel`` has become sendable; joining twice changes nothing."""
        if not channel.in_turn:
            channel.in_turn = True
            self._fresh.append(channel)

    def again(self, channel: Channel) -> None:
        """``channel`` has used its turn and has more to send."""
        channel.in_turn = True
        self._waiting.append(channel)

    def next(self) -> Channel:
        """The channel whose turn it is; it leaves the round. Only while there is one."""
        if self._fresh and (self._row < FRESH_IN_A_ROW or not self._waiting):
            self._row += 1
            channel = self._fresh.popleft()
        else:
            self._row = 0
            channel = self._waiting.popleft()
        channel.in_turn = False
        return channel
