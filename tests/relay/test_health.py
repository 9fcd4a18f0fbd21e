"""When a server is passed over, and when it is asked again."""

from __future__ import annotations

from egtunnel.relay.health import Health, ServerLimits

LIMITS = ServerLimits(failures=3, rest=10, longest_rest=60)


def failing(count: int, now: float = 100.0) -> Health:
    """A server that has failed so many times in a row."""
    health = Health(LIMITS)
    for _ in range(count):
        health.dialed()
        health.failed(now)
    return health


def test_it_rests_after_some_failures_in_a_row() -> None:
    """Not after fewer, and not if one in between went well."""
    assert failing(2).ready(100.0)
    assert not failing(3).ready(100.0)
    assert not failing(3).ready(109.9)
    health = failing(2)
    health.succeeded()
    health.failed(100.0)
    health.failed(100.0)
    assert health.ready(100.0)


def test_after_the_rest_one_visitor_asks() -> None:
    """The others pass it over until there is an answer."""
    health = failing(3)
    assert health.ready(110.0)
    health.dialed()
    assert not health.ready(110.0)
    health.succeeded()
    assert health.ready(110.0)
    health.dialed()
    assert health.ready(110.0)


def test_each_further_failure_doubles_the_rest_up_to_a_bound() -> None:
    """10, 20, 40, 60, 60; one success and it begins with 10 again."""
    health, now = failing(3), 100.0
    for rest in (10, 20, 40, 60, 60):
        assert not health.ready(now + rest - 0.1)
        now += rest
        assert health.ready(now)
        health.dialed()
        health.failed(now)
    health.succeeded()
    for _ in range(3):
        health.failed(now)
    assert health.until == now + 10


def test_failures_of_dials_that_were_under_way_do_not_lengthen_the_rest() -> None:
    """Twenty visitors at once are one failure of the service."""
    health = failing(20)
    assert health.until == 110.0
    assert health.ready(110.0)


def test_a_visitor_that_leaves_without_an_answer_lets_the_next_one_ask() -> None:
    """Else nobody would ever ask again."""
    health = failing(3)
    health.dialed()
    health.gave_up()
    assert health.ready(110.0)
    health.dialed()
    assert not health.ready(110.0)
