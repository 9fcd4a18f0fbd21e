"""Upstream connections that are kept, and requests that are sent twice or not."""

from __future__ import annotations

import pytest

from egtunnel.errors import ChannelClosed, LinkLost
from tests.ingress.http.world import World, answers, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 0\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 2\r\n\r\nhi"


def warm(world: World, count: int = 1) -> None:
    """Let so many connections wait."""
    visitors = [world.visitor(get()) for _ in range(count)]
    for far in world.app.upstreams:
        far.send(OK)
    for visitor in visitors:
        assert answers(visitor.take())[0].status == 200


def idle(world: World) -> int:
    """How many wait."""
    return sum(pool.idle for pool in world.ingress.site.pools.values())


def test_one_connection_serves_many_visitors() -> None:
    """One after the other."""
    world = World()
    for _ in range(5):
        visitor = world.visitor(get())
        world.far.send(OK)
        assert answers(visitor.taken)[0].status == 200
    assert world.app.dials == 1


def test_the_last_to_come_is_the_first_to_go_again() -> None:
    """The others grow old and are closed."""
    world = World()
    warm(world, 3)
    world.visitor(get("/again"))
    assert [b"/again" in far.taken for far in world.app.upstreams] == [False, False, True]


def test_an_idle_connection_is_closed_in_its_time() -> None:
    """With one timer for the pool, which then leaves nothing behind."""
    world = World(idle_upstream=4)
    warm(world, 3)
    assert idle(world) == 3
    world.pass_time(6)
    assert all(far.lost for far in world.app.upstreams)
    assert world.ingress.site.pools == {}


def test_an_old_connection_is_not_used_even_if_it_is_still_there() -> None:
    """Between two sweeps."""
    world = World(idle_upstream=4)
    warm(world)
    world.clock.advance(3.9)
    world.visitor(get())
    world.far.send(OK)
    world.clock.advance(0.2)
    assert world.app.dials == 1
    world.clock.advance(3.9)
    world.visitor(get())
    assert world.app.dials == 2


def test_what_the_upstream_says_of_its_patience_counts() -> None:
    """Less a second; more than our own it is not."""
    for header, alive in ((b"timeout=3", 2), (b"timeout=100", 4), (b"timeout=1", 0)):
        world = World(idle_upstream=4)
        world.ask(get(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: %b\r\n\r\n" % header)
        assert (idle(world) == 1) == (alive > 0)
        world.clock.advance(max(alive - 0.1, 0))
        world.visitor(get())
        assert world.app.dials == (1 if alive else 2)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_closed(response: bytes) -> None:
    """Its upstream says so, or said too much."""
    world = World()
    world.ask(get(), response)
    assert world.far.lost
    assert world.ingress.site.pools == {}


def test_no_more_than_so_many_wait() -> None:
    """The others are closed as they come back."""
    world = World(idle_upstreams=2)
    warm(world, 3)
    assert idle(world) == 2
    assert sum(far.lost for far in world.app.upstreams) == 1


@pytest.mark.parametrize("end", ["finish", "break_off"])
def test_one_that_ends_while_it_waits_leaves_at_once(end: str) -> None:
    """So it is not even tried."""
    world = World()
    warm(world)
    getattr(world.far, end)()
    assert idle(world) == 0
    world.visitor(get())
    assert world.app.dials == 2


def test_one_that_speaks_unasked_is_closed() -> None:
    """Those bytes would be taken for the next response."""
    world = World()
    warm(world)
    world.far.send(OK)
    assert world.far.lost
    assert idle(world) == 0


def test_tunnels_share_nothing() -> None:
    """A connection belongs to its tunnel."""
    world = World()
    warm(world)
    world.visitor(get("/", "www.custom.test"))
    assert (world.app.dials, world.custom.dials) == (1, 1)


def test_the_dialer_is_asked_for_every_visitor() -> None:
    """Even when a connection waits: it may not let everybody in."""
    world = World()
    warm(world)
    world.visitor(get())
    assert (len(world.app.visitors), world.app.dials) == (2, 1)


@pytest.mark.parametrize("end", ["finish", "break_off"])
def test_a_kept_connection_that_dies_unused_costs_the_visitor_nothing(end: str) -> None:
    """The request goes again, on a fresh one, once."""
    world = World()
    warm(world)
    visitor = world.visitor(get("/again"))
    getattr(world.far, end)()
    assert world.app.dials == 2
    assert b"GET /again " in world.far.taken
    world.far.send(OK)
    assert answers(visitor.taken)[0].status == 200


def test_the_second_connection_is_the_last_try() -> None:
    """Whatever is wrong, it is not the age of the connection."""
    world = World()
    warm(world)
    visitor = world.visitor(get())
    world.far.break_off(ChannelClosed())
    world.far.break_off(ChannelClosed())
    assert answers(visitor.taken)[0].word == "upstream-broke"
    assert world.app.dials == 2


@pytest.mark.parametrize("request_", [POST, PUT], ids=["not idempotent", "with a body"])
def test_what_may_do_harm_is_not_sent_twice(request_: bytes) -> None:
    """The visitor is told, and can decide."""
    world = World()
    warm(world)
    visitor = world.visitor(request_)
    assert world.app.dials == 1
    world.far.break_off(LinkLost())
    assert answers(visitor.taken)[0].status == 502
    assert world.app.dials == 1


def test_a_response_that_has_begun_is_not_asked_for_again() -> None:
    """Not even after its first byte."""
    for start in (b"H", b"HTTP/1.1 100 Continue\r\n\r\n"):
        world = World()
        warm(world)
        visitor = world.visitor(get())
        world.far.send(start)
        world.far.break_off()
        assert answers(visitor.taken)[-1].status == 502
        assert world.app.dials == 1


def test_a_slow_answer_is_not_asked_for_again() -> None:
    """The connection was good."""
    world = World(answer=60)
    warm(world)
    visitor = world.visitor(get())
    world.pass_time(60)
    assert answers(visitor.taken)[0].status == 504
    assert world.app.dials == 1


def test_what_must_not_be_repeated_goes_on_a_fresh_connection() -> None:
    """One used a moment ago counts as fresh."""
    world = World(fresh_upstream=1)
    warm(world)
    world.clock.advance(0.9)
    world.visitor(POST)
    world.far.send(OK)
    assert world.app.dials == 1
    world.clock.advance(1.5)
    world.visitor(POST)
    assert world.app.dials == 2
