"""A few threads that wait for a database, so that the reactor never does; results come back as Deferreds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall

from egtunnel.errors import StoreBusy, StoreUnavailable
from egtunnel.store.limits import StoreLimits

__all__ = ["Reactor", "Threads"]

T = TypeVar("T")


class Reactor(Protocol):
    """What the store needs of a reactor."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> IDelayedCall:
        """IReactorTime."""

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:
        """IReactorFromThreads."""


class _Job:
    __slots__ = ("abandoned", "call", "deferred", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.deferred: Deferred[Any] = Deferred()
        self.call: IDelayedCall | None = None
        self.abandoned = False


class Threads:
    """Runs plain functions elsewhere, first come, first served. All methods are for the reactor's thread.

    The threads are daemons: one that hangs in a dead connection does not keep the process alive.
    """

    def __init__(self, reactor: Reactor, limits: StoreLimits, name: str = "store") -> None:
        self._reactor = reactor
        self._limits = limits
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._alive = 0
        self._closed: Deferred[None] | None = None
        self._closing: IDelayedCall | None = None
        self.pending = 0

    def run(self, work: Callable[[], T], answer: float | None = None) -> Deferred[T]:
        """What ``work()`` returns or raises. ``answer``: a wait other than that of the limits, in seconds.

        Fails with StoreBusy where too much waits, and with StoreUnavailable where no answer came in time: the work is
        then not begun any more, but what was begun may still be done.
        """
        if self._closed is not None:
            return fail(StoreUnavailable("the store is closed"))
        if self.pending >= self._limits.waiting:
            return fail(StoreBusy(f"{self.pending} calls wait for the store already"))
        self._start()
        self.pending += 1
        job = _Job(work)
        wait = self._limits.answer if answer is None else answer
        job.call = self._reactor.callLater(wait, self._late, job, wait)
        self._jobs.put(job)
        return job.deferred

    def close(self) -> Deferred[None]:
        """Finish what waits and end the threads; after the time-out the Deferred fires though some still hang."""
        if self._closed is not None:
            return self._closed
        self._closed = Deferred()
        if not self._alive:
            self._closed.callback(None)
        else:
            self._closing = self._reactor.callLater(self._limits.answer, self._gone)
            for _ in range(self._alive):
                self._jobs.put(None)
        return self._closed

    def _start(self) -> None:
        if self._alive < self._limits.threads and self.pending >= self._alive:
            self._alive += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._alive}", daemon=True).start()

    def _serve(self) -> None:
        """The life of one thread."""
        while (job := self._jobs.get()) is not None:
            if job.abandoned:
                self._reactor.callFromThread(self._done, job, None)
            else:
                maybeDeferred(job.work).addBoth(self._report, job)
            del job
        self._reactor.callFromThread(self._ended)

    def _report(self, result: object, job: _Job) -> None:
        self._reactor.callFromThread(self._done, job, result)

    # -- back in the reactor's thread

    def _done(self, job: _Job, result: object) -> None:
        self.pending -= 1
        if job.abandoned:
            return
        if job.call is not None and job.call.active():
            job.call.cancel()
        job.deferred.callback(result)  # a Failure given to callback() goes down the errback chain

    def _late(self, job: _Job, wait: float) -> None:
        job.abandoned = True
        job.deferred.errback(StoreUnavailable(f"the store did not answer within {wait:g} s"))

    def _ended(self) -> None:
        self._alive -= 1
        if not self._alive:
            self._gone()

    def _gone(self) -> None:
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        if self._closed is not None and not self._closed.called:
            self._closed.callback(None)
