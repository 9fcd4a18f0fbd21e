"""Rules that read a request's body before it goes on."""

from __future__ import annotations

from typing import Any

from egtunnel.guard import Denial, RulesChanged
from tests.guards import Deciding, Reading
from tests.ingress.http.test_guard import OK, a_world, only
from tests.ingress.http.world import get
from tests.ingress.http2.world import POST as POST2
from tests.ingress.http2.world import call

NO = Denial(401, "unauthorized", "Say who you are.")


def post(size: int, *fields: str) -> bytes:
    """The head of a request with a body."""
    return get("/", "app.relay.test", f"Content-Length: {size}", *fields).replace(b"GET", b"POST", 1)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_the_body_is_read_whole_and_then_passed_on_whole() -> None:
    """In several pieces, of known length or not."""
    guard = Reading(1000)
    world = a_world(guard)
    visitor = world.visitor(post(10) + b"01234")
    assert world.app.visitors == []
    visitor.send(b"56789")
    assert world.far.taken.endswith(b"\r\n\r\n0123456789")
    world.far.send(OK)
    head = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    visitor.send(head + chunk(b"ab"))
    visitor.send(chunk(b"cd") + b"0\r\n\r\n")
    assert world.far.taken.endswith(chunk(b"abcd") + b"0\r\n\r\n")
    assert guard.read == [b"0123456789", b"abcd"]
    assert world.ingress.site.held == 0
    world.far.send(OK)
    assert visitor.taken.count(b"200 OK") == 2


def test_a_request_without_a_body_has_an_empty_one() -> None:
    """And is passed on."""
    guard = Reading(1000)
    world = a_world(guard)
    world.ask(get(), OK)
    assert guard.read == [b""]


def test_a_refusal_passes_nothing_on() -> None:
    """All was read: the connection stays."""
    world = a_world(Reading(1000, NO))
    visitor = world.visitor(post(3) + b"abc" + get())
    assert visitor.taken.count(b"HTTP/1.1 401 Unauthorized") == 2
    assert (world.app.visitors, world.ingress.site.held) == ([], 0)


def test_more_than_a_rule_may_read_is_refused() -> None:
    """By what the head says, or once it is too much."""
    world = a_world(Reading(4))
    assert only(world.visitor(post(5))).status == 413
    head = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    visitor = world.visitor(head + chunk(b"abc"))
    assert visitor.taken == b""
    visitor.send(chunk(b"de"))
    answer = only(visitor)
    assert (answer.status, answer.word, answer.headers["connection"]) == (413, "body-too-large", "close")
    assert (world.app.visitors, world.ingress.site.held) == ([], 0)


def test_more_than_the_relay_holds_in_all_is_refused() -> None:
    """And who leaves gives its part back."""
    world = a_world(Reading(100), held_bodies=10)
    first = world.visitor(post(20) + b"12345678")
    assert only(world.visitor(post(3) + b"abc")).status == 429
    assert world.ingress.site.held == 8
    first.break_off()
    assert world.ingress.site.held == 0
    world.ask(post(3) + b"abc", OK)


def test_who_waits_to_be_asked_for_the_body_is_asked() -> None:
    """By the relay, and not by the service once more."""
    world = a_world(Reading(100))
    visitor = world.visitor(post(3, "Expect: 100-continue"))
    assert visitor.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    visitor.send(b"abc")
    assert b"expect" not in world.far.taken.lower()
    assert world.far.taken.endswith(b"abc")


def test_a_slow_body_is_not_the_rules_slowness() -> None:
    """It has the time of every body."""
    world = a_world(Reading(10**6), judge=1.0)
    visitor = world.visitor(post(10) + b"01234")
    world.pass_time(5)
    visitor.send(b"56789")
    assert world.far.taken.endswith(b"0123456789")


def test_a_slow_service_gets_the_body_as_fast_as_it_takes_it() -> None:
    """What it does not take stays held."""
    world = a_world(Reading(10**6))
    world.app.stuck = True
    visitor = world.visitor(post(500_000) + b"x" * 500_000)
    assert 65_536 <= world.far.unsent() < 250_000
    assert world.ingress.site.held == 500_000
    world.far.stuck = False
    world.far.flush()
    while world.far.unsent():
        world.far.flush()
    assert world.far.taken.endswith(b"x" * 500_000)
    assert world.ingress.site.held == 0
    world.far.send(OK)
    assert only(visitor).status == 200


def test_an_answer_before_the_service_has_taken_all() -> None:
    """Its connection is of no more use; what was held is let go."""
    world = a_world(Reading(10**6))
    world.app.stuck = True
    visitor = world.visitor(post(500_000) + b"x" * 500_000)
    world.far.send(OK)
    assert only(visitor).status == 200
    assert world.far.lost
    assert world.ingress.site.held == 0


def test_rules_that_change_read_the_same_body_again() -> None:
    """It came once."""
    world = a_world(Reading(100))
    world.app.held = True
    visitor = world.visitor(post(3) + b"abc")
    second: Any = Reading(100, NO)
    world.app.guard = second
    world.app.waiting.errback(RulesChanged())
    assert second.read == [b"abc"]
    assert only(visitor).status == 401
    assert world.ingress.site.held == 0


def test_a_rule_that_decides_first_lets_one_read_after_it() -> None:
    """What came meanwhile is part of the body."""
    guard = Deciding()
    world = a_world(guard)
    world.visitor(post(6) + b"abc").send(b"def")
    read: list[bytes] = []
    guard.asked[0].read_body(100).addCallback(read.append)
    assert read == [b"abcdef"]
    guard.deciding[0].callback(None)
    assert world.far.taken.endswith(b"abcdef")


def test_the_body_of_a_stream() -> None:
    """As over HTTP/1, with credit for all of it."""
    guard = Reading(10**6)
    caller = call(a_world(guard))
    number = caller.open(POST2, end=False)
    sent = 0
    while sent < 200_000:
        room = min(caller.h2.local_flow_control_window(number), 16_384, 200_000 - sent)
        assert room > 0, "no credit"
        caller.h2.send_data(number, b"x" * room)
        sent += room
        caller.turn()
    caller.h2.end_stream(number)
    caller.turn()
    assert guard.read == [b"x" * 200_000]
    assert caller.world.far.taken.count(b"x") >= 200_000
    assert caller.world.far.taken.count(b"\r\n0\r\n\r\n") == 1
