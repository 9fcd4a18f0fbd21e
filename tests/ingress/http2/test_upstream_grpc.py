"""Calls of gRPC, from a visitor's HTTP/2 to a service's: heads, trailers and resets, as one tells them the other."""

from __future__ import annotations

from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

from egtunnel.ingress.http2.grpc import is_grpc
from egtunnel.ingress.peer import Peer
from tests.ingress.http.world import Pipe, World
from tests.ingress.http2.upstream_world import Service, serve, world_of_h2c

CALL = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"app.relay.test"),
    (b":path", b"/a.B/C"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
    (b"grpc-timeout", b"5S"),
]
GRPC = (b"content-type", b"application/grpc")
CANCEL, INTERNAL_ERROR = 8, 2


class Caller:
    """A visitor with one stream."""

    def __init__(self, world: World) -> None:
        protocol: Any = world.ingress.connection(Peer(host="192.0.2.7", port=4711), b"h2")
        self.world = world
        self.pipe = Pipe(protocol)
        protocol.makeConnection(self.pipe)
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.h2.initiate_connection()
        self.h2.send_headers(1, CALL)
        self.events: list[Event] = []
        self.carry()

    def carry(self) -> None:
        """Let what is due cross, in both directions."""
        self.pipe.send(self.h2.data_to_send())
        self.world.clock.advance(0)
        self.events += self.h2.receive_data(self.pipe.take())

    def of(self, kind: type[Event]) -> Any:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def call() -> tuple[World, Caller, Service]:
    """A call whose head has arrived."""
    world = world_of_h2c(answer=20, body_wait=20, upstream_stall=20)
    caller = Caller(world)
    return world, caller, serve(world)


def test_a_call_from_end_to_end(call: tuple[World, Caller, Service]) -> None:
    """te and the metadata arrive; messages go both ways before either side has ended; trailers end it."""
    _, caller, service = call
    assert (service.head[b"te"], service.head[b"grpc-timeout"]) == (b"trailers", b"5S")
    service.begin(200, GRPC)
    for message in (b"one", b"two"):
        caller.h2.send_data(1, message)
        caller.carry()
        service.read()
        service.data(message.upper())
        caller.carry()
    caller.h2.end_stream(1)
    caller.carry()
    service.read()
    assert (service.body, service.ended) == (b"onetwo", True)
    service.trailing((b"grpc-status", b"0"), (b"x-sum-bin", b"AA"))
    caller.carry()
    assert b"".join(event.data for event in caller.of(DataReceived)) == b"ONETWO"
    (trailers,) = caller.of(TrailersReceived)
    assert [tuple(field) for field in trailers.headers] == [(b"grpc-status", b"0"), (b"x-sum-bin", b"AA")]
    assert caller.of(StreamEnded)


def test_a_response_that_is_only_trailers(call: tuple[World, Caller, Service]) -> None:
    """One header section that ends the stream, without a length."""
    _, caller, service = call
    caller.h2.end_stream(1)
    caller.carry()
    service.read()
    service.begin(200, GRPC, (b"grpc-status", b"5"), (b"grpc-message", b"no%20such"), end=True)
    caller.carry()
    (response,) = caller.of(ResponseReceived)
    fields = dict(response.headers)
    assert (fields[b"grpc-status"], b"content-length" in fields) == (b"5", False)
    assert response.stream_ended is not None
    assert not caller.of(DataReceived)


def test_a_call_that_the_caller_gives_up(call: tuple[World, Caller, Service]) -> None:
    """The service hears CANCEL."""
    world, caller, service = call
    service.begin(200, GRPC)
    caller.h2.reset_stream(1, CANCEL)
    caller.carry()
    service.read()
    assert service.resets == [CANCEL]
    assert world.far.lost
    assert not caller.pipe.lost


def test_a_service_that_vanishes(call: tuple[World, Caller, Service]) -> None:
    """The caller's stream is reset, which nobody takes for an end; its connection goes on."""
    _, caller, service = call
    service.begin(200, GRPC)
    service.data(b"first")
    service.pipe.break_off()
    caller.carry()
    assert [event.error_code for event in caller.of(StreamReset)] == [INTERNAL_ERROR]
    assert not caller.pipe.lost


def test_a_call_in_which_nobody_speaks_goes_on(call: tuple[World, Caller, Service]) -> None:
    """Neither side is hurried: the deadline is the caller's."""
    world, caller, service = call
    for _ in range(20):
        world.pass_time(10, 5)
        caller.h2.ping(b"we are !")
        caller.carry()
    assert not caller.of(StreamReset)
    service.begin(200, GRPC)
    caller.carry()
    assert caller.of(ResponseReceived)


def test_an_answer_from_the_relay_itself() -> None:
    """A plain HTTP status, which gRPC knows how to read."""
    world = world_of_h2c()
    world.app.failure = ConnectionError()
    caller = Caller(world)
    (response,) = caller.of(ResponseReceived)
    assert dict(response.headers)[b":status"] == b"502"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"Application/GRPC ; charset=x", True),
        (b"application/grpc-web", False),
        (b"application/grpc-web+proto", False),
        (b"application/grpcx", False),
        (b"text/html", False),
    ],
)
def test_what_is_a_call(value: bytes, expected: bool) -> None:
    """By its content-type; gRPC-Web is ordinary HTTP."""
    assert is_grpc([(b"accept", b"x"), (b"Content-Type", value)]) is expected
    assert not is_grpc([(b"x-type", value)])
