"""The threads of the store: bounded, in order, with time-outs, and they end."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from egtunnel.errors import StoreBusy, StoreUnavailable
from egtunnel.store.limits import StoreLimits
from egtunnel.store.threads import Threads
from tests.store.reactors import Turns


def failed(turns: Turns, deferred: Deferred[Any]) -> BaseException:
    """What a Deferred fails with."""
    with pytest.raises(Exception) as caught:
        turns.wait(deferred)
    return caught.value


def test_results_and_errors_come_back_to_the_reactors_thread(turns: Turns) -> None:
    """The work itself is done elsewhere."""
    threads = Threads(turns.reactor, StoreLimits())
    where: list[int] = []
    done = threads.run(threading.get_ident)
    done.addCallback(lambda ident: where.extend((ident, threading.get_ident())))
    turns.wait(done)
    assert where[0] != where[1] == threading.get_ident()
    assert isinstance(failed(turns, threads.run(lambda: [0].remove(1))), ValueError)
    turns.wait(threads.close())


def test_no_more_threads_than_allowed_and_no_more_work_than_allowed(turns: Turns) -> None:
    """What is too much fails at once."""
    threads = Threads(turns.reactor, StoreLimits(threads=2, waiting=5))
    gate = threading.Event()
    before = threading.active_count()
    asked = [threads.run(gate.wait) for _ in range(6)]
    assert threading.active_count() == before + 2
    assert threads.pending == 5
    with pytest.raises(StoreBusy):
        turns.wait(asked[5])
    gate.set()
    assert all(turns.wait(one) for one in asked[:5])
    assert threads.pending == 0
    turns.wait(threads.close())


def test_work_without_an_answer_fails_and_what_waits_behind_it_is_not_begun(turns: Turns) -> None:
    """Its place is taken until it is over: nothing grows."""
    threads = Threads(turns.reactor, StoreLimits(threads=1, answer=0.05))
    gate, begun = threading.Event(), list[int]()
    stuck = threads.run(gate.wait)
    behind = threads.run(lambda: begun.append(1))
    assert isinstance(failed(turns, stuck), StoreUnavailable)
    assert "0.05 s" in str(failed(turns, behind))
    assert threads.pending == 2
    gate.set()
    turns.until(lambda: threads.pending == 0)
    assert begun == []
    assert turns.wait(threads.run(lambda: 7)) == 7
    turns.wait(threads.close())


def test_closing_finishes_what_waits_and_ends_the_threads(turns: Turns) -> None:
    """Afterwards nothing is taken."""
    threads = Threads(turns.reactor, StoreLimits(threads=2))
    done: list[int] = []
    before = threading.active_count()
    for number in range(20):
        threads.run(lambda number=number: done.append(number))  # type: ignore[misc]
    turns.wait(threads.close())
    assert sorted(done) == list(range(20))
    turns.until(lambda: threading.active_count() == before)
    with pytest.raises(StoreUnavailable):
        turns.wait(threads.run(lambda: 7))
    assert turns.reactor.getDelayedCalls() == []


def test_closing_does_not_wait_for_ever(turns: Turns) -> None:
    """A thread that hangs is left behind."""
    threads = Threads(turns.reactor, StoreLimits(answer=0.05))
    gate = threading.Event()
    stuck = threads.run(gate.wait)
    closed = threads.close()
    assert isinstance(failed(turns, stuck), StoreUnavailable)
    turns.wait(closed)
    gate.set()
    turns.until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("store-")])
