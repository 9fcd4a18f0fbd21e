"""The queue of hashes to be worked out by threads: bounded in all and for each address, so that nobody has it alone."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool

from egtunnel.access.limits import AccessLimits
from egtunnel.errors import OverLimit

__all__ = ["Hashing", "Run", "in_threads"]

Run = Callable[[Callable[[], bool]], Deferred[bool]]
"""Has something done elsewhere."""


def in_threads(reactor: Any) -> Run:
    """By threads of the reactor's own pool."""
    return lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work)


class Hashing:
    """First come, first served, a few at once. One for all tunnels."""

    def __init__(self, run: Run, limits: AccessLimits) -> None:
        self._run = run
        self._limits = limits
        self._running = 0
        self._waiting: deque[tuple[str, Callable[[], bool], Deferred[bool]]] = deque()
        self._shares: Counter[str] = Counter()

    def do(self, address: str, work: Callable[[], bool]) -> Deferred[bool]:
        """What ``work()`` says; fails with OverLimit where too much waits already, in all or for this address.

        What nobody waits for any more (a cancelled Deferred) is not begun.
        """
        limits = self._limits
        if len(self._waiting) >= limits.waiting or self._shares[address] >= limits.waiting_of_one:
            return fail(OverLimit())
        done: Deferred[bool] = Deferred(lambda cancelled: None)
        self._shares[address] += 1
        self._waiting.append((address, work, done))
        self._next()
        return done

    def _next(self) -> None:
        while self._waiting and self._running < self._limits.threads:
            address, work, done = self._waiting.popleft()
            if done.called:
                self._leave(address)
                continue
            self._running += 1
            self._run(work).addBoth(self._done, address, done)

    def _done(self, result: Any, address: str, done: Deferred[bool]) -> None:
        self._running -= 1
        self._leave(address)
        if not done.called:
            done.callback(result)  # a Failure given to callback() goes down the errback chain
        self._next()

    def _leave(self, address: str) -> None:
        self._shares[address] -= 1
        if not self._shares[address]:
            del self._shares[address]
