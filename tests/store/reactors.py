"""A real reactor of a test's own, turned by hand until a Deferred has fired."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure

__all__ = ["Turns"]

T = TypeVar("T")
PATIENCE = 30.0


class Turns:
    """``reactor`` is real: its timers, its waker, its ``callFromThread``; never installed as the global one."""

    def __init__(self) -> None:
        self.reactor = SelectReactor()

    def wait(self, deferred: Deferred[T], seconds: float = PATIENCE) -> T:
        """What the Deferred fires with; raises what it fails with."""
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.until(lambda: bool(results), seconds)
        result = results[0]
        if isinstance(result, Failure):
            result.raiseException()
        fired: T = result
        return fired

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Turn until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            # Not iterate(): that runs what is due first and then waits for something, also when nothing is left to do.
            due = self.reactor.timeout()
            self.reactor.doIteration(0.05 if due is None else min(due, 0.05))
            self.reactor.runUntilCurrent()

    def close(self) -> None:
        """Close the waker's descriptors."""
        for reader in self.reactor.removeAll():
            reader.connectionLost(Failure(ConnectionError()))
        for reader in list(self.reactor._internalReaders):
            reader.connectionLost(Failure(ConnectionError()))
