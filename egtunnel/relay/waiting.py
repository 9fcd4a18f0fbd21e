"""Visitors who wait for a client to come back."""

from __future__ import annotations

from collections.abc import Hashable

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from egtunnel.errors import ClientAway, EgtunnelError

__all__ = ["WaitingLimits", "WaitingRoom"]


@attrs.frozen
class WaitingLimits:
    """``hold``: seconds a visitor waits for a client that is away. ``visitors``: waiting at once in the whole relay."""

    hold: float = 10.0
    visitors: int = 1000


class WaitingRoom:
    """Visitors by what they wait for, in the order in which they came."""

    def __init__(self, clock: IReactorTime, limits: WaitingLimits) -> None:
        self.limits = limits
        self.clock = clock
        self._waiting: dict[Hashable, dict[Deferred[None], IDelayedCall]] = {}
        self.visitors = 0

    def wait(self, on: Hashable) -> Deferred[None]:
        """Fires when ``on`` is back; fails with ClientAway after ``hold`` seconds, or at once when the room is full."""
        if self.visitors >= self.limits.visitors or not self.limits.hold:
            return fail(ClientAway())
        waiter: Deferred[None] = Deferred(lambda cancelled: self._leave(on, cancelled))
        call = self.clock.callLater(self.limits.hold, self._too_long, on, waiter)
        self._waiting.setdefault(on, {})[waiter] = call
        self.visitors += 1
        return waiter

    def let_in(self, on: Hashable) -> None:
        """``on`` is back."""
        for waiter in self._empty(on):
            waiter.callback(None)

    def send_away(self, on: Hashable, error: EgtunnelError) -> None:
        """``on`` will not come back."""
        for waiter in self._empty(on):
            waiter.errback(error)

    def close(self) -> None:
        """Nobody will come back."""
        for on in list(self._waiting):
            self.send_away(on, ClientAway("the relay is shutting down"))

    def _empty(self, on: Hashable) -> list[Deferred[None]]:
        waiting = self._waiting.pop(on, {})
        self.visitors -= len(waiting)
        for call in waiting.values():
            call.cancel()
        return list(waiting)

    def _leave(self, on: Hashable, waiter: Deferred[None]) -> None:
        waiting = self._waiting.get(on, {})
        call = waiting.pop(waiter, None)
        if call is None:
            return
        self.visitors -= 1
        if call.active():
            call.cancel()
        if not waiting:
            del self._waiting[on]

    def _too_long(self, on: Hashable, waiter: Deferred[None]) -> None:
        self._leave(on, waiter)
        waiter.errback(ClientAway())
