"""A response that comes before its request has ended: the rest of the request is thrown away, for a while."""

from __future__ import annotations

import pytest

from egtunnel.ingress.http2.limits import H2Limits
from tests.ingress.http2.world import GET, POST, Caller, call, world_of

REFUSAL = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
NO_ERROR = 0


def refused(**http: int) -> tuple[Caller, int]:
    """An upload that was answered when it had hardly begun."""
    caller = call(world_of(H2Limits(tick=1.0), **http))
    number = caller.open()
    caller.data(number, b"x")
    caller.answer(REFUSAL)
    return caller, number


def test_the_response_arrives_whole_and_without_a_reset() -> None:
    """Some programs take a reset for an error, whatever its code."""
    caller, number = refused()
    reply = caller.reply(number)
    assert (reply.status, reply.body, reply.ended, reply.reset) == (413, b"no", True, None)


def test_the_rest_is_thrown_away() -> None:
    """The visitor ends its request in its own time; the upstream sees none of it, and the connection goes on."""
    caller, number = refused()
    far = caller.world.far
    far.take()
    for _ in range(20):
        caller.data(number, b"x" * 15_000)
    caller.data(number, b"", end=True)
    assert far.take() == b""
    assert caller.reply(number).reset is None
    assert caller.world.app.dials == 1
    caller.ask(GET)
    assert caller.world.app.dials == 2


def test_no_more_than_linger_bytes_are_thrown_away() -> None:
    """Then the stream is reset, without an error (RFC 9113 section 8.1)."""
    caller, number = refused(linger_bytes=20_000)
    caller.data(number, b"x" * 15_000)
    assert caller.reply(number).reset is None
    caller.data(number, b"x" * 15_000)
    assert caller.reply(number).reset == NO_ERROR
    assert not caller.goaway


def test_too_much_of_it_that_ends_the_request_at_once() -> None:
    """Then there is nothing left to reset."""
    caller, number = refused(linger_bytes=10)
    caller.data(number, b"x" * 50, end=True)
    assert caller.reply(number).reset is None
    assert not caller.goaway
    assert caller.reply(caller.ask(GET)).reset is None


def test_no_longer_than_linger_seconds() -> None:
    """The same for one that says nothing more."""
    caller, number = refused(linger=5)
    caller.world.pass_time(4)
    caller.turn()
    assert caller.reply(number).reset is None
    caller.world.pass_time(2)
    caller.turn()
    assert caller.reply(number).reset == NO_ERROR


def test_a_stream_that_lingers_counts_as_one() -> None:
    """Otherwise a visitor could have any number of them."""
    caller = call(world_of(H2Limits(streams=1)))
    number = caller.open(POST)
    caller.answer(REFUSAL)
    assert caller.reply(number).ended
    assert caller.refused(number + 2) == 7


@pytest.mark.parametrize("rest", [b"", b"x" * 50, b"x" * 200])
def test_a_request_that_ends_at_another_length_than_it_promised(rest: bytes) -> None:
    """It was answered already; that it broke its word is no longer of interest."""
    caller = call(world_of(H2Limits()))
    number = caller.open([*POST, (b"content-length", b"100")])
    caller.data(number, b"x")
    caller.answer(REFUSAL)
    caller.data(number, rest, end=True)
    assert (caller.reply(number).status, caller.reply(number).ended) == (413, True)
    assert not caller.goaway
    caller.ask(GET)
    caller.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert caller.reply(number + 2).ended
