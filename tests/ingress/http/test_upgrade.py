"""Upgrades: bytes both ways after a 101, HTTP as before without one."""

from __future__ import annotations

import pytest

from egtunnel.errors import LinkLost
from tests.ingress.http.world import Pipe, World, answers, get

WISH = get("/ws", "app.relay.test", "Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: k")
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def switched(world: World) -> tuple[Pipe, Pipe]:
    """Both ends of an upgraded connection."""
    visitor = world.visitor(WISH)
    far = world.far
    far.send(SWITCH)
    visitor.take()
    far.take()
    return visitor, far


def test_the_wish_goes_on_as_one_of_the_relays() -> None:
    """Connection and Upgrade are said anew, the protocol's own headers pass."""
    world = World()
    world.visitor(WISH)
    seen = world.far.taken
    assert b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" in seen
    assert b"\r\nSec-WebSocket-Key: k\r\n" in seen
    assert seen.count(b"Connection:") == 1


def test_the_101_goes_back_whole() -> None:
    """With what the protocol needs."""
    world = World()
    visitor = world.visitor(WISH)
    world.far.send(SWITCH)
    (answer,) = answers(visitor.taken)
    assert answer.status == 101
    assert answer.headers == {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": "a"}


def test_after_it_bytes_go_both_ways_as_they_are() -> None:
    """Whatever they look like."""
    visitor, far = switched(World())
    visitor.send(b"\x81\x00GET / HTTP/1.1\r\n\r\n")
    far.send(b"\x82\x00HTTP/1.1 200 OK\r\n\r\n")
    assert far.take() == b"\x81\x00GET / HTTP/1.1\r\n\r\n"
    assert visitor.take() == b"\x82\x00HTTP/1.1 200 OK\r\n\r\n"


def test_bytes_that_came_early_keep_their_order() -> None:
    """Behind the request, before the answer, and in the same read as the 101."""
    world = World()
    visitor = world.visitor(WISH + b"one ")
    visitor.send(b"two ")
    far = world.far
    assert b"one" not in far.take()
    far.send(SWITCH + b"first ")
    far.send(b"second")
    visitor.send(b"three")
    assert far.take() == b"one two three"
    assert visitor.take().partition(b"\r\n\r\n")[2] == b"first second"


def test_half_close_is_kept_in_both_directions() -> None:
    """As on TCP."""
    visitor, far = switched(World())
    visitor.finish()
    assert far.write_ended
    far.send(b"more")
    assert visitor.take() == b"more"
    far.finish()
    assert visitor.write_ended


def test_a_visitor_that_half_closed_early_is_still_heard() -> None:
    """Its end comes through after the switch."""
    world = World()
    visitor = world.visitor(WISH)
    visitor.finish()
    world.far.send(SWITCH + b"hi")
    assert visitor.take().endswith(b"hi")
    assert world.far.write_ended


def test_a_break_on_one_side_is_a_break_on_the_other() -> None:
    """Both ways."""
    visitor, far = switched(World())
    far.break_off(LinkLost())
    assert visitor.aborted
    visitor, far = switched(World())
    visitor.break_off()
    assert far.aborted


def test_a_slow_reader_stops_the_other_end() -> None:
    """The splice registers each side as the other's producer."""
    visitor, far = switched(World())
    visitor.stuck = True
    far.send(b"x" * 100_000)
    assert not far.reading
    visitor.stuck = False
    visitor.flush()
    assert far.reading


def test_no_time_out_of_http_counts_any_more() -> None:
    """A quiet WebSocket is nobody's fault."""
    world = World()
    visitor, far = switched(world)
    world.pass_time(10_000, step=100)
    far.send(b"still here")
    assert visitor.take() == b"still here"


def test_an_upgrade_never_takes_a_kept_connection_and_never_leaves_one() -> None:
    """What stood behind it may not speak HTTP again."""
    world = World()
    world.ask(get(), OK)
    switched(world)
    assert world.app.dials == 2
    assert world.app.upstreams[0].taken == b""


def test_an_upgraded_connection_is_no_exchange_any_more() -> None:
    """Many WebSockets do not use up the requests of a tunnel."""
    world = World(exchanges=1)
    switched(world)
    visitor = world.visitor(get())
    world.far.send(OK)
    assert answers(visitor.taken)[0].status == 200


def test_another_answer_than_101_is_an_ordinary_one() -> None:
    """What came behind the request is then the next request."""
    world = World()
    visitor = world.visitor(WISH + get("/next"))
    world.far.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    assert answers(visitor.take())[0].status == 403
    assert b"GET /next HTTP/1.1\r\n" in world.far.taken
    world.far.send(OK)
    assert answers(visitor.take())[0].status == 200
    visitor.send(get("/more"))
    assert b"GET /more HTTP/1.1\r\n" in world.far.taken


def test_bytes_held_during_the_answer_are_the_next_request_too() -> None:
    """Reading pauses while they wait."""
    world = World()
    visitor = world.visitor(WISH)
    visitor.send(get("/next"))
    assert not visitor.reading
    world.far.send(OK)
    assert b"GET /next HTTP/1.1\r\n" in world.far.taken
    assert visitor.reading


@pytest.mark.parametrize(
    "head",
    [
        SWITCH.replace(b"websocket", b"h2c"),
        SWITCH.replace(b"Upgrade: websocket\r\n", b""),
        SWITCH.replace(b"Connection: Upgrade\r\n", b""),
    ],
    ids=["another protocol", "no protocol", "no Connection"],
)
def test_a_101_to_something_else_is_a_broken_upstream(head: bytes) -> None:
    """Only what was asked for may follow."""
    world = World()
    visitor = world.visitor(WISH)
    world.far.send(head)
    assert answers(visitor.taken)[0].word == "upstream-broke"
    assert world.far.aborted


def test_http_1_0_cannot_upgrade() -> None:
    """RFC 9110 section 7.8: such a wish is ignored."""
    world = World()
    world.visitor(WISH.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert b"Upgrade" not in world.far.taken
