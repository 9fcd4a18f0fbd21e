"""How requests to services of HTTP/2 end before their time: resets, GOAWAY, time, visitors who leave."""

from __future__ import annotations

from typing import Any

import pytest

from egtunnel.errors import LinkLost
from tests.ingress.http.test_shared_tunnels import Server
from tests.ingress.http.world import Pipe, World, answers, get
from tests.ingress.http2.upstream_world import Service, serve, world_of_h2c

CANCEL, NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM = 8, 0, 2, 7
POST = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 100\r\n\r\nabc"
GRPC = b"POST /a.B/C HTTP/1.1\r\nHost: app.relay.test\r\nContent-Type: application/grpc+proto\r\nTE: trailers\r\n"


def exchange(request: bytes = get(), **limits: Any) -> tuple[World, Service, Pipe]:
    """A request that has arrived at the service."""
    world = world_of_h2c(**limits)
    visitor = world.visitor(request)
    return world, serve(world), visitor


def warm(**limits: Any) -> tuple[World, Service]:
    """A kept connection."""
    world, service, _ = exchange(**limits)
    service.answer()
    return world, service


def status(visitor: Pipe) -> int:
    """Of the only answer."""
    (answer,) = answers(visitor.take())
    return answer.status


def test_a_reset_before_an_answer_is_502() -> None:
    """Whatever its code; the connection is left."""
    for code in (CANCEL, NO_ERROR, INTERNAL_ERROR):
        world, service, visitor = exchange()
        service.reset(code)
        assert status(visitor) == 502
        assert world.far.lost


def test_a_reset_within_an_answer_cuts_the_visitor_off() -> None:
    """The chunks do not end."""
    _, service, visitor = exchange()
    service.begin()
    service.data(b"hel")
    service.reset(INTERNAL_ERROR)
    (answer,) = answers(visitor.take())
    assert (answer.body, answer.complete) == (b"hel", False)
    assert visitor.lost


def test_a_whole_answer_before_the_request_has_ended() -> None:
    """It arrives; with RST_STREAM(NO_ERROR) behind it (RFC 9113 section 8.1) or without."""
    for reset in (True, False):
        world, service, visitor = exchange(POST)
        service.h2.send_headers(1, [(b":status", b"413")], end_stream=True)
        if reset:
            service.h2.reset_stream(1, NO_ERROR)
        service.send()
        assert status(visitor) == 413
        assert world.far.lost


def test_an_answer_while_some_of_the_request_waits_for_room() -> None:
    """The rest is thrown away, and the stream reset; the connection is good for the next request."""
    body = b"y" * 70_000
    world, service, visitor = exchange(
        b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert len(service.body) == 65_535
    service.h2.send_headers(1, [(b":status", b"403")], end_stream=True)
    service.send()
    assert status(visitor) == 403
    service.read()
    assert service.resets == [CANCEL]
    other = world.visitor(get())
    service.read()
    service.answer()
    assert (status(other), world.app.dials) == (200, 1)


def test_a_visitor_who_leaves_cancels_the_stream() -> None:
    """The service hears CANCEL, then the connection ends cleanly."""
    world, service, visitor = exchange()
    service.begin()
    visitor.break_off()
    service.read()
    assert service.resets == [CANCEL]
    assert world.far.lost
    assert not world.far.aborted


def test_a_service_that_takes_nothing_is_not_waited_for_in_vain() -> None:
    """The connection of a cancelled request ends in a limited time."""
    world = world_of_h2c(linger=5)
    world.app.stuck = True
    visitor = world.visitor(get())
    visitor.break_off()
    assert not world.far.lost
    world.pass_time(6)
    assert world.far.aborted
    assert not world.clock.getDelayedCalls()


def test_goaway_lets_the_present_request_end_and_no_other_begin() -> None:
    """Even with a code of an error."""
    for code in (NO_ERROR, 11):
        world, service, visitor = exchange()
        service.pipe.send(goaway(1, code))
        service.answer()
        assert status(visitor) == 200
        world.visitor(get())
        assert world.app.dials == 2


def goaway(last: int, code: int) -> bytes:
    """The library's own ends everything."""
    return b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + code.to_bytes(4, "big")


def test_goaway_of_an_idle_connection_ends_it() -> None:
    """The pool forgets it."""
    world, service = warm()
    service.pipe.send(goaway(1, NO_ERROR))
    assert service.pipe.lost
    assert world.ingress.site.pools == {}


@pytest.mark.parametrize("how", ["refused", "goaway", "lost"])
def test_a_request_that_reached_nobody_goes_again(how: str) -> None:
    """On a kept connection that was being left; once, and only what does no harm twice."""
    world, service = warm()
    visitor = world.visitor(get("/again"))
    service.read()
    if how == "refused":
        service.reset(REFUSED_STREAM)
    elif how == "goaway":
        service.pipe.send(goaway(1, NO_ERROR))
    else:
        service.pipe.break_off(LinkLost())
    assert world.app.dials == 2
    second = serve(world)
    assert second.head[b":path"] == b"/again"
    second.reset(REFUSED_STREAM)
    assert status(visitor) == 502
    assert world.app.dials == 2


def test_a_request_with_a_body_or_one_that_was_heard_does_not_go_again() -> None:
    """Nobody knows what it has done."""
    world, service = warm()
    visitor = world.visitor(POST)
    service.read()
    service.reset(REFUSED_STREAM)
    assert (status(visitor), world.app.dials) == (502, 1)
    world, service = warm()
    visitor = world.visitor(get())
    service.read()
    service.begin(103)
    service.reset(REFUSED_STREAM)
    assert [answer.status for answer in answers(visitor.take())] == [103, 502]
    assert world.app.dials == 1


def test_a_connection_that_ends_ends_its_request() -> None:
    """Before an answer 502, within one the visitor is cut off."""
    _, service, visitor = exchange()
    service.pipe.finish()
    assert status(visitor) == 502
    _, service, visitor = exchange()
    service.begin()
    service.pipe.break_off()
    assert not answers(visitor.take())[0].complete


def test_a_service_that_does_not_answer_is_504() -> None:
    """From the end of the request; whatever else it says."""
    world, service, visitor = exchange(answer=20)
    for _ in range(6):
        world.pass_time(4)
        service.h2.increment_flow_control_window(1)
        service.send()
    assert status(visitor) == 504
    service.read()
    assert service.resets == [CANCEL]


def test_a_grpc_call_waits_as_long_as_its_caller() -> None:
    """For the answer and for room."""
    world, service, visitor = exchange(GRPC + b"Content-Length: 0\r\n\r\n", answer=20, upstream_stall=20)
    world.pass_time(100, 5)
    assert visitor.take() == b""
    service.begin(200, (b"content-type", b"application/grpc"))
    service.trailing((b"grpc-status", b"0"))
    assert status(visitor) == 200
    body = b"y" * 70_000
    world, service, visitor = exchange(GRPC + b"Content-Length: 70000\r\n\r\n" + body, upstream_stall=20)
    world.pass_time(100, 5)
    assert not visitor.lost


def test_a_grpc_call_does_not_wait_for_a_service_that_never_greets() -> None:
    """A server begins with its settings."""
    world = world_of_h2c(answer=20)
    visitor = world.visitor(GRPC + b"Content-Length: 0\r\n\r\n")
    world.pass_time(21)
    assert status(visitor) == 504


def test_an_upload_that_gets_no_room_is_504() -> None:
    """After ``stall``, unless there was progress."""
    world, service, visitor = exchange(
        b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 90000\r\n\r\n" + b"y" * 70_000, upstream_stall=20
    )
    world.pass_time(15)
    service.h2.increment_flow_control_window(1000, 1)
    service.send()
    world.pass_time(15)
    assert visitor.take() == b""
    world.pass_time(6)
    assert status(visitor) == 504


def test_no_timer_is_left_behind() -> None:
    """Of a connection that was kept and closed."""
    world, service, visitor = exchange()
    service.answer()
    visitor.break_off()
    world.pass_time(20)
    assert world.far.lost
    assert not world.clock.getDelayedCalls()


def test_a_request_leaves_a_server_that_is_not_heard() -> None:
    """As over HTTP/1: its stream is cancelled, and another server is asked; one that was answered stays."""
    world, service, visitor = exchange()
    first = world.far
    world.app.elsewhere = True
    first.protocol.move()
    service.read()
    assert service.resets == [CANCEL]
    assert world.app.dials == 2
    second = serve(world)
    second.begin()
    world.far.protocol.move()
    assert world.app.dials == 2
    second.data(b"ok", end=True)
    assert status(visitor) == 200


def test_a_kept_connection_is_used_for_its_own_server_alone() -> None:
    """Whatever it speaks."""
    world = world_of_h2c()
    one, two = Server("1" * 16), Server("2" * 16)
    for server, dials in ((one, 1), (two, 2), (one, 2), (two, 2)):
        world.app.server = server
        before = len(world.app.upstreams)
        world.visitor(get())
        assert world.app.dials == dials
        if len(world.app.upstreams) > before:
            serve(world).answer()
            assert len(server.kept) == 1
        else:
            assert len(server.kept) == 0
