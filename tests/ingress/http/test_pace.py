"""A request's body that comes by the drop, over HTTP/1 and HTTP/2."""

from __future__ import annotations

from math import ceil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.pace import Pace
from egtunnel.ingress.http.routes import parse_host
from tests.ingress.http.world import Pipe, World, answers
from tests.ingress.http2.world import POST, call

UPLOAD = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 1000000\r\n\r\n"
SLOW: dict[str, Any] = {"body_rate": 100, "body_grace": 20, "body_wait": 60}
CANCEL = 8


def drip(world: World, visitor: Pipe, size: int, seconds: int) -> None:
    """So many bytes each second."""
    for _ in range(seconds):
        visitor.send(b"a" * size)
        world.pass_time(1)


def test_a_body_slower_than_the_rate_is_a_408() -> None:
    """The grace is used up, the service's connection is broken off."""
    world = World(**SLOW)
    visitor = world.visitor(UPLOAD)
    drip(world, visitor, 10, 21)
    assert visitor.take() == b""
    drip(world, visitor, 10, 3)
    assert answers(visitor.take())[0].status == 408
    assert world.far.aborted


def test_a_body_at_the_rate_goes_on() -> None:
    """For as long as it takes."""
    world = World(**SLOW)
    visitor = world.visitor(UPLOAD)
    drip(world, visitor, 101, 600)
    assert visitor.take() == b""
    assert not visitor.lost


def test_what_came_fast_earns_a_pause() -> None:
    """Of ``body_wait`` seconds at most."""
    world = World(**SLOW)
    visitor = world.visitor(UPLOAD)
    visitor.send(b"a" * 60_000)
    world.pass_time(59)
    assert visitor.take() == b""
    world.pass_time(1)
    assert answers(visitor.take())[0].status == 408


def test_a_body_whose_answer_has_begun_may_come_by_the_drop() -> None:
    """Both sides talk: only silence ends that."""
    world = World(**SLOW)
    visitor = world.visitor(UPLOAD)
    world.pass_time(5)
    world.far.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    for _ in range(5):
        world.pass_time(50)
        visitor.send(b"a")
        world.far.send(b"2\r\nok\r\n")
    assert not visitor.lost
    world.pass_time(60)
    assert visitor.aborted


def test_a_visitor_that_was_told_to_wait_is_not_late() -> None:
    """``Expect: 100-continue``: the service has its time to say so."""
    world = World(**SLOW)
    visitor = world.visitor(UPLOAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    world.pass_time(59)
    assert visitor.take() == b""
    world.pass_time(1)
    assert answers(visitor.take())[0].status == 408


def test_while_nobody_asks_for_the_body_it_is_not_late() -> None:
    """A service that reads slowly gives its visitor a new grace each time that it reads on."""
    world = World(**SLOW, upstream_stall=300)
    visitor = world.visitor(UPLOAD)
    world.far.stuck = True
    visitor.send(b"a" * 200_000)
    assert not visitor.reading
    world.pass_time(299)
    world.far.stuck = False
    world.far.flush()
    assert visitor.reading
    world.pass_time(19)
    assert visitor.take() == b""
    world.pass_time(1)
    assert answers(visitor.take())[0].status == 408


def test_a_slow_body_over_http_2_resets_its_stream_alone() -> None:
    """Other streams of the connection go on."""
    world = World(**SLOW)
    caller = call(world)
    slow, fast = caller.open(POST), caller.open(POST)
    for _ in range(40):
        if caller.reply(slow).reset is None:
            caller.data(slow, b"a" * 10)
        caller.data(fast, b"a" * 200)
        world.pass_time(1)
        caller.turn()
    assert caller.reply(slow).reset == CANCEL
    assert caller.reply(fast).reset is None
    assert caller.goaway == []


def test_a_grpc_call_may_send_as_slowly_as_it_wants() -> None:
    """How long it lasts is its caller's business."""
    world = World(**SLOW)
    caller = call(world)
    number = caller.open([*POST, (b"content-type", b"application/grpc"), (b"te", b"trailers")])
    for _ in range(10):
        world.pass_time(30)
        caller.turn()  # its PINGs are answered
    assert caller.reply(number).reset is None


def test_an_answer_taken_by_the_drop_over_http_2_is_given_up() -> None:
    """A window that grows by a few bytes at a time is no progress."""
    world = World(body_rate=100, stall=60)
    caller = call(world, initial_window_size=10)
    number = caller.ask()
    caller.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)
    for _ in range(70):
        if caller.reply(number).reset is None:
            caller.h2.increment_flow_control_window(10, number)
        caller.turn()
        world.pass_time(1)
        caller.turn()
    assert caller.reply(number).reset == CANCEL


def pace() -> Pace:
    """Of a request whose head came at 0."""
    host = parse_host(b"app.relay.test")
    assert host is not None
    head = RequestHead(b"POST", b"/", host, [], [])
    return Pace(head, HTTPLimits(body_rate=100, body_grace=20, body_wait=60), 0.0)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 5_000)), max_size=50))
def test_who_keeps_the_rate_is_never_late(pieces: list[tuple[float, int]]) -> None:
    """However it is cut into pieces, and whatever more comes."""
    now, kept = 0.0, pace()
    for pause, more in pieces:
        now += pause
        assert now <= kept.until(answered=False) + 1e-6
        kept.took(ceil(pause * 100) + more, now)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 5_000)), max_size=50))
def test_nobody_has_more_time_than_was_earned_or_may_be_saved_up(pieces: list[tuple[float, int]]) -> None:
    """The grace and what all bytes are worth, and never more than the longest pause from now."""
    now, sent, kept = 0.0, 0, pace()
    for pause, size in pieces:
        now += pause
        sent += size
        kept.took(size, now)
        assert kept.until(answered=False) <= 20 + sent / 100 + 1e-6
        if size:
            assert kept.until(answered=False) <= now + 60
