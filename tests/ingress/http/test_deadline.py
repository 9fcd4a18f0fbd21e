"""The lazily moved timer."""

from __future__ import annotations

from twisted.internet.task import Clock

from egtunnel.ingress.http.deadline import Deadline


def make() -> tuple[Clock, Deadline, list[float]]:
    """A deadline and when it passed."""
    clock, passed = Clock(), list[float]()
    return clock, Deadline(clock, lambda: passed.append(clock.seconds())), passed


def test_it_passes_once_at_its_time() -> None:
    """Not before, and not again."""
    clock, deadline, passed = make()
    deadline.set(10)
    clock.advance(9.5)
    assert passed == []
    clock.advance(0.5)
    clock.advance(100)
    assert passed == [10]


def test_moving_it_later_costs_no_new_call() -> None:
    """A thousand moves, one delayed call."""
    clock, deadline, passed = make()
    for _ in range(1000):
        deadline.set(10)
        clock.advance(0.01)
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([0.25] * 100)
    assert len(passed) == 1
    assert abs(passed[0] - 19.99) < 0.3


def test_moving_it_earlier_is_kept() -> None:
    """Even when the call was set for later."""
    clock, deadline, passed = make()
    deadline.set(100)
    deadline.set(1)
    clock.advance(1)
    assert passed == [1]
    assert clock.getDelayedCalls() == []


def test_a_cleared_one_does_not_pass_and_can_be_set_again() -> None:
    """The call that is still there only moves itself or ends."""
    clock, deadline, passed = make()
    deadline.set(10)
    deadline.clear()
    assert not deadline.pending
    clock.advance(5)
    deadline.set(10)
    clock.pump([1] * 9)
    assert passed == []
    clock.advance(1)
    assert passed == [15]
    deadline.set(1)
    deadline.clear()
    clock.advance(50)
    assert passed == [15]


def test_a_cancelled_one_leaves_no_call() -> None:
    """A lost connection leaves nothing behind in the reactor."""
    clock, deadline, passed = make()
    deadline.set(10)
    deadline.cancel()
    assert clock.getDelayedCalls() == []
    clock.advance(20)
    assert passed == []
