"""Limits of a tunnel: what a claim may say of them, and how they are kept with what the relay bounds."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from egtunnel.errors import Refused
from egtunnel.guard import AccessError, Asked, Denial
from egtunnel.interfaces import Visitor
from egtunnel.limits.bucket import Rate
from egtunnel.limits.terms import Terms
from egtunnel.relay.guards import Guards, Post, Sentry
from egtunnel.relay.limiting import Limiting, part_of, read_terms
from egtunnel.relay.reservations import Place
from tests.guards import Decided
from tests.relay.house import House

ASKED = Asked(b"GET", b"/")
WHOLE = {
    "rate": "100/s",
    "burst": 7,
    "rate-per-address": "600/m",
    "connections": 9,
    "bandwidth-in": "1M",
    "bandwidth-out": "500k",
}


def web(host: str = "192.0.2.7") -> Visitor:
    """Somebody who asks for a page."""
    return Visitor("http", host, 4711, "app")


def guards(clock: Clock, bounds: Terms | None = None, parts: int = 1) -> Guards:
    """Limits, and a rule that lets everybody in."""
    return Guards({"yes": lambda value, post: Decided()}, Limiting(clock, bounds, parts))


def passed(sentry: Sentry, count: int, host: str = "192.0.2.7") -> int:
    """How many of so many requests come in."""
    return sum(sentry.guard is None or sentry.guard.judge(ASKED, web(host)) is None for _ in range(count))


def sentry_of(access: str, clock: Clock, **more: Any) -> Sentry:
    """The sentry of a place with these rules."""
    sentry = Sentry(guards(clock, **more), Post("http", "app"))
    sentry.follow(access)
    return sentry


def test_all_that_a_claim_may_say() -> None:
    """As texts that a person would write."""
    assert read_terms(WHOLE) == Terms(Rate(100, 1, 7), Rate(600, 60, 1), 9, 1_000_000, 500_000)
    assert read_terms({"rate": "100/s"}) == Terms(Rate(100, 1, 5))


@pytest.mark.parametrize(
    "value",
    [
        None, {}, [], "100/s", {"speed": 1}, {"rate": 100}, {"rate": "fast"}, {"rate": "0/s"}, {"rate": "1/d"},
        {"burst": 3}, {"rate": "1/s", "burst": -1}, {"rate": "1/s", "burst": "3"}, {"rate": "1/s", "burst": True},
        {"connections": 0}, {"connections": "3"}, {"connections": True}, {"bandwidth-in": 5}, {"bandwidth-out": "0"},
        {"rate": "9" * 5000 + "/s"}, {"bandwidth-in": "1T"},
    ],
)  # fmt: skip
def test_what_cannot_be_refuses_the_claim(value: Any) -> None:
    """It is never ignored."""
    with pytest.raises(AccessError):
        read_terms(value)
    with pytest.raises(Refused) as caught:
        guards(Clock()).check("http", {"limits": value})
    assert caught.value.reason == "bad-access"


def test_requests_beyond_the_rate_are_told_when_to_come_again() -> None:
    """429 with Retry-After and the RateLimit fields; exactly as many pass as may."""
    clock = Clock()
    sentry = sentry_of('{"limits":{"rate":"10/s","burst":2}}', clock)
    assert passed(sentry, 5) == 2
    assert sentry.guard is not None
    denial: Any = sentry.guard.judge(ASKED, web())
    assert isinstance(denial, Denial) and (denial.status, denial.word) == (429, "over-tunnel-rate")
    fields = dict(denial.fields)
    assert fields[b"Retry-After"] == b"1" and fields[b"RateLimit-Policy"] == b'"tunnel";q=10;w=1'
    assert fields[b"RateLimit"].startswith(b'"tunnel";r=0')
    count = 0
    for _ in range(1000):
        clock.advance(0.01)
        count += passed(sentry, 3)
    assert count == 100


def test_an_address_that_is_too_fast_leaves_the_rest_to_others() -> None:
    """An IPv6 network counts as one address."""
    sentry = sentry_of('{"limits":{"rate-per-address":"20/s"}}', Clock())
    assert passed(sentry, 9, "192.0.2.7") == 1
    assert passed(sentry, 9, "192.0.2.8") == 1
    assert passed(sentry, 9, "2001:db8::1") == 1
    assert passed(sentry, 9, "2001:db8::2") == 0


def test_tcp_connections_count_as_requests_do() -> None:
    """They are not let in."""
    sentry = Sentry(guards(Clock()), Post("tcp", "20000"))
    sentry.follow('{"limits":{"rate":"20/s"}}')
    assert sentry.guard is not None
    visitor = Visitor("tcp", "192.0.2.7", 4711, "20000")
    assert [sentry.guard.admits(visitor) for _ in range(3)] == [True, False, False]


def test_limits_come_before_other_rules_and_stand_while_those_change() -> None:
    """What was used up is not given back by a claim anew."""
    clock = Clock()
    sentry = sentry_of('{"limits":{"rate":"1/s"},"yes":1}', clock)
    assert passed(sentry, 3) == 1
    sentry.follow('{"limits":{"rate":"1/s"},"yes":2}')
    assert passed(sentry, 3) == 0
    sentry.follow('{"limits":{"rate":"2/s"}}')
    assert passed(sentry, 3) == 1
    sentry.follow("")
    assert sentry.guard is None and sentry.limiter is None


def test_the_relays_bounds_hold_for_every_tunnel() -> None:
    """The stricter counts, limit by limit; a claim that says nothing has the bounds."""
    clock, bounds = Clock(), Terms(rate=Rate(2, 1, 2), connections=5)
    silent = Sentry(guards(clock, bounds), Post("http", "app"))
    assert passed(silent, 9) == 2 and silent.limiter is not None and silent.limiter.connections == 5
    asking = sentry_of('{"limits":{"rate":"1000/s","connections":3}}', clock, bounds=bounds)
    assert passed(asking, 9) == 2 and asking.limiter is not None and asking.limiter.connections == 3


def test_each_of_several_processes_keeps_its_part() -> None:
    """Together they let through what one would."""
    terms = part_of(Terms(Rate(100, 1, 5), Rate(1, 1, 1), 5, 1_000_000, None), 2)
    assert terms == Terms(Rate(100, 2, 2), Rate(1, 2, 1), 2, 500_000, None)
    assert part_of(terms, 1) is terms


def test_a_limiter_says_what_is_left_and_what_it_refused() -> None:
    """For people."""
    sentry = sentry_of('{"limits":{"rate":"10/s","burst":2,"connections":4}}', Clock())
    passed(sentry, 5)
    assert sentry.limiter is not None
    assert sentry.limiter.state() == {
        "left": {"requests": 0, "connections": 4},
        "refused": {"tunnel": 3, "address": 0, "connections": 0},
    }


def test_a_client_hears_that_its_limits_are_kept() -> None:
    """Also those that ask nothing of a request."""
    house = House()
    house.table.guards = guards(house.clock)
    client = house.client()
    assert client.claim(1, name="app", access={"limits": {"bandwidth-out": "1M"}}).guarded
    tunnel = house.tunnel("app")
    assert tunnel.guard is None and tunnel.connections is None
    client.claim(1, name="app", access={"limits": {"connections": 3}})
    assert house.table.at(Place("name", "app")).connections == 3  # type: ignore[union-attr]
