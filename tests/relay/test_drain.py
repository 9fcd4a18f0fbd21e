"""A relay that is left by its visitors: as soon as the last has gone, or when the time is over."""

from __future__ import annotations

from twisted.internet.task import Clock

from egtunnel.relay.drain import Drain


def a_drain(grace: float, visitors: list[int]) -> tuple[Clock, Drain, list[float]]:
    """A drain, and when it was over."""
    clock, over = Clock(), list[float]()
    drain = Drain(clock, lambda: visitors[0], grace)
    drain.over.addCallback(lambda _: over.append(clock.seconds()))
    return clock, drain, over


def test_without_visitors_it_is_over_at_once() -> None:
    """Nobody waits for nobody."""
    clock, _, over = a_drain(30, [0])
    assert over == [0]
    assert clock.getDelayedCalls() == []


def test_it_is_over_when_the_last_visitor_has_gone() -> None:
    """And not before."""
    visitors = [2]
    clock, _, over = a_drain(30, visitors)
    clock.pump([0.1] * 50)
    assert over == []
    visitors[0] = 0
    clock.pump([0.1])
    assert len(over) == 1
    assert clock.getDelayedCalls() == []


def test_it_is_over_after_the_grace() -> None:
    """Whoever is still there."""
    clock, _, over = a_drain(30, [1])
    clock.pump([0.05] * 590)
    assert over == []
    clock.pump([0.05] * 20)
    assert len(over) == 1


def test_without_a_grace_it_waits_as_long_as_they_want() -> None:
    """Days, if need be."""
    clock, drain, over = a_drain(0, [1])
    clock.pump([3_600.0] * 48)
    assert over == []
    drain.finish()
    drain.finish()
    assert len(over) == 1
    assert clock.getDelayedCalls() == []
