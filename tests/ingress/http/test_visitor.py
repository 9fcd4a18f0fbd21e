"""A visitor's connection: order, keep-alive, waits, and how it ends."""

from __future__ import annotations

import random

import pytest
from twisted.internet.error import ConnectionLost

from tests.ingress.http.world import World, answers, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPLOAD = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 10\r\n\r\n"


def numbered(number: int) -> bytes:
    """A response that says its number."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d" % number


def test_a_hundred_pipelined_requests_are_answered_in_order() -> None:
    """Even if the upstreams are slow by chance; each request reaches an upstream once."""
    world = World(idle_upstreams=0)
    dice = random.Random(1)
    visitor = world.visitor(b"".join(get(f"/{number}") for number in range(100)))
    for number in range(100):
        world.pass_time(dice.choice([0, 0.5, 3]))
        assert len(world.app.upstreams) == number + 1, "one at a time"
        assert world.far.taken.startswith(b"GET /%d HTTP/1.1\r\n" % number)
        world.far.send(numbered(number))
    assert [int(answer.body) for answer in answers(visitor.taken)] == list(range(100))


def test_pipelined_requests_with_bodies_keep_their_bodies() -> None:
    """Whatever the cut of the bytes, each body goes with its request."""
    bodies = [b"a" * size for size in (0, 1, 100, 5000)]
    data = b"".join(
        b"POST /%d HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: %d\r\n\r\n%b" % (len(body), len(body), body)
        for body in bodies
    )
    for size in (1, 7, 100, 100_000):
        world = World(idle_upstreams=0)
        visitor = world.visitor()
        for start in range(0, len(data), size):
            visitor.send(data[start : start + size])
        for number, body in enumerate(bodies):
            assert world.app.upstreams[number].taken.partition(b"\r\n\r\n")[2] == body
            world.app.upstreams[number].send(OK)
        assert len(answers(visitor.taken)) == len(bodies)


def test_reading_pauses_while_a_request_waits_for_its_turn() -> None:
    """No visitor fills our memory with requests."""
    world = World()
    visitor = world.visitor(get("/1") + get("/2"))
    assert not visitor.reading
    visitor.send(get("/3"))
    world.far.send(OK)
    assert b"GET /2 " in world.far.taken
    assert b"GET /3 " not in world.far.taken
    assert not visitor.reading
    world.far.send(OK)
    assert b"GET /3 " in world.far.taken
    assert visitor.reading


def test_reading_goes_on_while_a_request_without_successor_is_answered() -> None:
    """So that a visitor who goes is noticed."""
    world = World()
    visitor = world.visitor(get())
    assert visitor.reading
    visitor.break_off()
    assert world.far.aborted


def test_a_visitor_who_goes_while_the_client_is_awaited_is_forgotten() -> None:
    """Its waiting is cancelled, and nothing is sent when the client comes."""
    world = World()
    world.app.held = True
    visitor = world.visitor(get())
    visitor.break_off()
    assert len(world.app.cancelled) == 1
    assert world.app.upstreams == []
    assert world.ingress.site.pools == {}


def test_a_held_request_goes_on_when_the_client_is_back() -> None:
    """With the body that had come; while it waits no more of it is read."""
    world = World()
    world.app.held = True
    visitor = world.visitor(UPLOAD + b"hello")
    assert not visitor.reading
    world.app.waiting.callback(None)
    assert visitor.reading
    visitor.send(b"world")
    assert world.far.taken.endswith(b"\r\n\r\nhelloworld")
    world.far.send(OK)
    assert answers(visitor.taken)[0].status == 200


# -- waits


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_first_head_that_does_not_come_is_a_408(start: bytes) -> None:
    """The time counts from the connection, however many bytes drip in."""
    world = World(head_wait=10)
    visitor = world.visitor(start)
    for _ in range(19):
        world.clock.advance(0.5)
        if start:
            visitor.send(b"b" if b"X" in start else b"")
    assert visitor.take() == b""
    world.clock.advance(0.5)
    (answer,) = answers(visitor.take())
    assert (answer.status, answer.word, answer.headers["connection"]) == (408, "request-timeout", "close")
    world.pass_time(5)
    assert visitor.lost


def test_a_later_head_has_its_time_from_its_first_byte() -> None:
    """Also if that byte came with the request before."""
    for early in (b"", b"GET /"):
        world = World(head_wait=10, keep_alive=75)
        visitor = world.visitor(get() + early)
        world.far.send(OK)
        visitor.take()
        if not early:
            world.pass_time(60)
            visitor.send(b"GET /")
        world.pass_time(9.5)
        assert visitor.take() == b""
        world.pass_time(0.5)
        assert answers(visitor.take())[0].status == 408


def test_an_idle_connection_is_closed_in_silence() -> None:
    """After the keep-alive time, counted from the last response."""
    world = World(keep_alive=75)
    visitor = world.visitor(get())
    world.pass_time(20)
    world.far.send(OK)
    visitor.take()
    world.pass_time(74.5)
    assert not visitor.lost
    world.pass_time(0.5)
    assert visitor.lost
    assert not visitor.aborted
    assert visitor.taken == b""


def test_blank_lines_do_not_keep_a_connection() -> None:
    """Only requests do."""
    world = World(keep_alive=75)
    visitor = world.visitor(get())
    world.far.send(OK)
    for _ in range(15):
        world.pass_time(5)
        visitor.send(b"\r\n")
    assert visitor.lost


def test_a_body_that_stops_coming_is_a_408() -> None:
    """The time starts again with every byte, where any rate is good enough."""
    world = World(body_wait=60, body_rate=0)
    visitor = world.visitor(UPLOAD)
    for _ in range(3):
        world.pass_time(59)
        visitor.send(b"a")
    world.pass_time(59.5)
    assert visitor.take() == b""
    world.pass_time(0.5)
    assert answers(visitor.take())[0].status == 408
    assert world.far.aborted


def test_a_body_that_stops_after_the_response_has_begun_is_cut_off() -> None:
    """There is nothing else to say."""
    world = World(body_wait=60)
    visitor = world.visitor(UPLOAD)
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    world.pass_time(60)
    assert visitor.aborted
    assert world.far.aborted


def test_a_body_that_we_do_not_read_is_not_late() -> None:
    """While the upstream is full the visitor waits for us, not we for it."""
    world = World(body_wait=60, upstream_stall=300)
    visitor = world.visitor(b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 200000\r\n\r\n")
    world.far.stuck = True
    visitor.send(b"x" * 100_000)
    assert not visitor.reading
    world.pass_time(299)
    assert visitor.take() == b""
    assert not visitor.lost
    world.pass_time(1)
    assert answers(visitor.take())[0].status == 504


def test_a_visitor_that_does_not_read_is_cut_off_at_last() -> None:
    """No progress for as long as the limit says; a slow reader is none of these."""
    world = World(stall=300)
    visitor = world.visitor(get())
    visitor.stuck = True
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
    assert not world.far.reading
    world.pass_time(299)
    visitor.flush()
    visitor.stuck = False
    visitor.flush()
    assert world.far.reading
    visitor.stuck = True
    world.far.send(b"x" * 99_999)
    world.pass_time(299.5)
    assert not visitor.lost
    world.pass_time(0.5)
    assert visitor.aborted


def test_a_closing_connection_that_nobody_reads_ends_at_last() -> None:
    """What was written has its time to leave, and no more."""
    world = World(stall=300)
    visitor = world.visitor(get("/", "app.relay.test", "Connection: close"))
    visitor.stuck = True
    world.far.send(OK)
    world.pass_time(299)
    assert not visitor.lost
    world.pass_time(1)
    assert visitor.aborted


# -- ends


def test_a_half_closed_visitor_still_gets_what_it_asked_for() -> None:
    """As with ``printf ... | nc``; all requests that came, then the end."""
    world = World()
    visitor = world.visitor(get("/1") + get("/2"))
    visitor.finish()
    world.far.send(OK)
    assert not visitor.lost
    world.far.send(OK)
    assert len(answers(visitor.taken)) == 2
    assert visitor.lost
    assert not visitor.aborted


def test_a_half_closed_visitor_is_given_up_when_nothing_moves() -> None:
    """Most of them have gone altogether."""
    world = World(half_closed=2)
    visitor = world.visitor(get())
    visitor.finish()
    world.far.send(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(5):
        world.pass_time(1.5)
        world.far.send(b"x")
    assert not visitor.lost
    world.pass_time(4)
    assert visitor.aborted
    assert world.far.aborted


@pytest.mark.parametrize("data", [b"", b"GET / HT", UPLOAD, UPLOAD + b"hello"])
def test_a_visitor_that_ends_within_a_request_is_let_go(data: bytes) -> None:
    """At once, and the upstream hears of it."""
    world = World()
    visitor = world.visitor(data)
    visitor.finish()
    assert visitor.lost
    assert all(far.aborted for far in world.app.upstreams)
    assert world.ingress.connections == set()
    assert world.clock.getDelayedCalls() == []


def test_a_response_that_comes_before_the_request_has_ended_closes() -> None:
    """It is sent at once; then the rest of the request is thrown away, and the upstream's connection too."""
    world = World()
    visitor = world.visitor(UPLOAD + b"hello")
    world.far.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
    (answer,) = answers(visitor.take())
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert world.far.aborted
    assert visitor.write_ended
    visitor.send(b"world" + get("/never"))
    assert visitor.take() == b""
    visitor.finish()
    assert visitor.lost
    assert world.app.dials == 1


def test_a_response_may_stream_while_the_request_does() -> None:
    """Both ways at once; the connection closes once both are over."""
    world = World()
    visitor = world.visitor(UPLOAD + b"hello")
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    visitor.send(b"world")
    assert world.far.taken.endswith(b"helloworld")
    world.far.send(b"world")
    (answer,) = answers(visitor.taken)
    assert (answer.body, answer.headers["connection"]) == (b"helloworld", "close")
    assert visitor.lost
    assert not visitor.aborted


def test_garbage_behind_a_good_request_is_refused_in_its_turn() -> None:
    """First the answer to the good one."""
    world = World()
    visitor = world.visitor(get() + b"garbage\r\n\r\n")
    assert visitor.take() == b""
    world.far.send(OK)
    assert [answer.status for answer in answers(visitor.take())] == [200, 400]
    assert visitor.write_ended


def test_a_broken_body_ends_request_and_connection() -> None:
    """The upstream must not take it for complete."""
    world = World()
    visitor = world.visitor(
        b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    visitor.send(b"zz\r\n")
    assert answers(visitor.take())[0].status == 400
    assert world.far.aborted
    assert world.ingress.site.pools == {}


def test_nothing_is_left_of_a_connection() -> None:
    """No timer, no pool entry, no connection, whichever side ended it."""
    for reason in (None, ConnectionLost()):
        world = World()
        visitor = world.visitor(get())
        world.far.send(OK)
        visitor.break_off(reason)
        world.pass_time(10)
        assert world.ingress.connections == set()
        assert world.ingress.site.pools == {}
        assert world.clock.getDelayedCalls() == []


def test_closing_the_ingress_ends_the_idle_and_lets_the_busy_finish() -> None:
    """A busy one is told with its response."""
    world = World()
    idle, busy = world.visitor(), world.visitor(get())
    world.ingress.close()
    assert idle.lost
    assert not busy.lost
    world.far.send(OK)
    assert answers(busy.taken)[0].headers["connection"] == "close"
    assert busy.lost


def test_small_segments_leave_at_once_and_dead_peers_are_found() -> None:
    """TCP_NODELAY and keep-alive on every connection."""
    visitor = World().visitor()
    assert visitor.no_delay
    assert visitor.keep_alive
