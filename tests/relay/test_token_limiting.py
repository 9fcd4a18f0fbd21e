"""Limits of all tunnels of a token together, and what has passed through them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from egtunnel.errors import OverLimit
from egtunnel.guard import AccessError, Asked, Denial
from egtunnel.interfaces import IRoute, Visitor
from egtunnel.limits.bucket import Rate
from egtunnel.limits.terms import Terms
from egtunnel.relay.guards import Guards, Post, Sentry
from egtunnel.relay.limiting import Limiting, read_token_terms
from egtunnel.relay.metering import EVERY, Metering, Quotas
from egtunnel.relay.reservations import Owner
from egtunnel.store.records import UsageRecord

NOVEMBER = 1_795_500_000.0
ASKED = Asked(b"GET", b"/")
VISITOR = Visitor("http", "192.0.2.7", 4711, "app")


def sentry(guards: Guards, token: str = "t", own: dict[str, Any] | None = None, **limits: Any) -> Sentry:
    """The sentry of one of a token's tunnels."""
    rules: dict[str, Any] = {"token-limits": {"token": token, **limits}}
    found = Sentry(guards, Post("http", "app"))
    found.follow(json.dumps(rules if own is None else {**rules, "limits": own}))
    return found


def passed(found: Sentry, count: int) -> int:
    """How many of so many requests come in."""
    assert found.guard is not None
    return sum(found.guard.judge(ASKED, VISITOR) is None for _ in range(count))


def test_what_the_relay_writes_is_read() -> None:
    """And nothing else."""
    value = {"token": "t", "rate": "100/s", "connections": 9, "bandwidth-in": "1M", "quota": "10G"}
    assert read_token_terms(value) == ("t", Terms(Rate(100, 1, 5), None, 9, 1_000_000, None), 10**10)
    assert read_token_terms({"token": "t", "quota": "1k"}) == ("t", Terms(), 1_000)
    for wrong in (
        {},
        {"token": 7},
        {"token": "t", "burst": 7},
        {"token": "t", "quota": 7},
        {"token": "t", "rate": "x"},
    ):
        with pytest.raises(AccessError):
            read_token_terms(wrong)


def test_all_tunnels_of_a_token_share_its_rate() -> None:
    """Those of another token have their own; a tunnel's own rate holds besides."""
    clock = Clock()
    guards = Guards({}, Limiting(clock))
    one, two = sentry(guards, rate="100/s"), sentry(guards, rate="100/s")
    other = sentry(guards, "u", rate="100/s")
    slow = sentry(guards, "v", {"rate": "20/s", "burst": 2}, rate="100/s")
    assert passed(one, 3) + passed(two, 10) == 5
    assert passed(other, 10) == 5
    assert passed(slow, 10) == 2
    assert one.guard is not None
    verdict = one.guard.judge(ASKED, VISITOR)
    assert isinstance(verdict, Denial) and (verdict.status, verdict.word) == (429, "over-token-rate")
    assert b"Retry-After" in dict(verdict.fields)
    clock.advance(0.02)
    assert passed(two, 10) == 2


def test_a_month_that_is_used_up() -> None:
    """Refused until the next one, which begins in UTC; also connections of a TCP tunnel."""
    clock = Clock()
    quotas = Quotas(lambda: NOVEMBER + clock.seconds())
    found = sentry(Guards({}, Limiting(clock, quotas=quotas)), quota="1k")
    quotas.passed("t", 999)
    quotas.passed("u", 10**12)
    assert passed(found, 1) == 1
    quotas.restore("2026-11", {"t": 1000, "u": 5})
    assert found.guard is not None and found.limiter is not None
    verdict = found.guard.judge(ASKED, VISITOR)
    assert isinstance(verdict, Denial) and verdict.word == "over-quota"
    wait = int(dict(verdict.fields)[b"Retry-After"])
    assert not found.guard.admits(VISITOR)
    assert found.limiter.state()["left"]["quota"] == 0
    clock.advance(wait)
    assert passed(found, 1) == 1 and found.guard.admits(VISITOR)


@implementer(IRoute)
class Way:
    """Connects at once."""

    server = None
    elsewhere = False

    def __init__(self) -> None:
        self.protocols: list[Any] = []

    def connect(self, factory: Any) -> Deferred[Any]:
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        self.protocols.append(protocol)
        return succeed(protocol)


def test_connections_of_a_token_are_counted_over_its_tunnels() -> None:
    """Who ends makes room for another."""
    from twisted.internet.protocol import Factory, Protocol
    from twisted.python.failure import Failure

    guards = Guards({}, Limiting(Clock()))
    one, two = sentry(guards, connections=2), sentry(guards, connections=2)
    way: Any = Way()
    factory = Factory.forProtocol(Protocol)
    failures: list[Any] = []
    for each in (one, two, one):
        assert each.limiter is not None
        each.limiter.route(way).connect(factory).addErrback(failures.append)
    assert len(way.protocols) == 2 and failures[0].check(OverLimit)
    way.protocols[0].connectionLost(Failure(OverLimit()))
    assert two.limiter is not None
    two.limiter.route(way).connect(factory)
    assert len(way.protocols) == 3


class Session:
    """The numbers of one."""

    def __init__(self) -> None:
        self.traffic = (0, 0)
        self.companions: list[Any] = []
        self.mux = self
        self.next_id = 2


def test_what_passes_is_counted_once() -> None:
    """Also of a session that ends between two looks; a companion that goes takes nothing back."""
    clock, kept, asked = Clock(), list[UsageRecord](), list[tuple[str, list[str]]]()
    quotas = Quotas(lambda: NOVEMBER)
    quotas.set("t", 10_000)
    sessions: dict[Any, Any] = {Owner("t", "c"): Session()}

    def ask(month: str, tokens: list[str]) -> Deferred[dict[str, int]]:
        asked.append((month, tokens))
        return succeed({"t": 5_000})

    metering = Metering(clock, lambda: NOVEMBER, quotas, sessions=sessions.items, passed=kept.append, ask=ask)
    metering.start()
    assert asked == [("2026-11", ["t"])] and quotas.left("t") == 5_000
    session = sessions[Owner("t", "c")]
    session.traffic, session.next_id = (100, 200), 6
    clock.advance(EVERY)
    session.traffic = (90, 250)
    clock.advance(EVERY)
    clock.advance(EVERY)
    session.traffic = (100, 260)
    metering.over(Owner("t", "c"), session)
    sessions.clear()
    metering.stop()
    assert kept == [
        UsageRecord("t", "2026-11", 2, 100, 200),
        UsageRecord("t", "2026-11", 0, 0, 50),
        UsageRecord("t", "2026-11", 0, 10, 10),
    ]
    assert quotas.left("t") == 5_000 - 370
    assert not clock.getDelayedCalls()
