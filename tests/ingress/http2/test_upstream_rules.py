"""What a service of HTTP/2 must not say, and how much: it may be a stranger's, and the relay serves others, too."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http2.limits import H2Limits
from egtunnel.ingress.http2.upstream import H2Upstream
from egtunnel.ingress.http2.upstream_limits import H2UpstreamLimits
from tests.ingress.http.world import Pipe, World, answers, get
from tests.ingress.http2.upstream_world import Service, serve, world_of_h2c

LIMITS = HTTPLimits()
Fields = list[tuple[bytes, bytes]]
STATUS = (b":status", b"200")


def exchange(request: bytes = get(), **limits: Any) -> tuple[World, Service, Pipe]:
    """A request that has arrived at the service."""
    world = world_of_h2c(**limits)
    visitor = world.visitor(request)
    return world, serve(world), visitor


def headers(fields: Fields, *flags: str, stream: int = 1) -> bytes:
    """One HEADERS frame with all of them."""
    frame = HeadersFrame(stream, data=Encoder().encode(fields), flags=["END_HEADERS", *flags])
    data: bytes = frame.serialize()
    return data


def raw(*frames: Frame) -> bytes:
    """Their bytes."""
    return b"".join(frame.serialize() for frame in frames)


def is_502(world: World, visitor: Pipe) -> bool:
    """The visitor has a clear answer, and the connection is left."""
    (answer,) = answers(visitor.take())
    assert (answer.status, answer.word) == (502, "upstream-broke")
    return world.far.lost


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"x-own", b"1")],
        [(b"x-own", b"1"), STATUS],
        [STATUS, STATUS],
        [STATUS, (b":path", b"/")],
        [(b":status", b"20")],
        [(b":status", b"099")],
        [(b":status", b"+20")],
        [(b":status", b"1000")],
        [(b":status", b"101")],
        [(b":status", b"103"), STATUS],
        [STATUS, (b"X-Own", b"1")],
        [STATUS, (b"", b"1")],
        [STATUS, (b"x own", b"1")],
        [STATUS, (b"x-own:", b"1")],
        [STATUS, (b"x\r\nevil", b"1")],
        [STATUS, (b"x-own", b"1\r\nSet-Cookie: a=b")],
        [STATUS, (b"x-own", b"1\n")],
        [STATUS, (b"x-own", b"\x001")],
        [STATUS, (b"connection", b"close")],
        [STATUS, (b"transfer-encoding", b"chunked")],
        [STATUS, (b"upgrade", b"websocket")],
        [STATUS, (b"keep-alive", b"timeout=5")],
        [STATUS, (b"proxy-connection", b"close")],
        [STATUS, (b"content-length", b"5, 5")],
        [STATUS, (b"content-length", b"-5")],
        [STATUS, (b"content-length", b"5"), (b"content-length", b"6")],
        [STATUS, *[(b"x-%d" % number, b"1") for number in range(LIMITS.response_headers)]],
        [STATUS, *[(b"x-%d" % number, b"y" * 8000) for number in range(9)]],
    ],
)
def test_a_head_that_is_none_is_502(fields: Fields) -> None:
    """Nothing of it reaches the visitor."""
    world, service, visitor = exchange()
    data = headers(fields)
    service.pipe.send(data if len(data) < 16_000 else _in_pieces(fields))
    assert is_502(world, visitor)


def _in_pieces(fields: Fields) -> bytes:
    block = Encoder().encode(fields)
    pieces = [block[place : place + 16_000] for place in range(0, len(block), 16_000)]
    first = HeadersFrame(1, data=pieces[0])
    others = [ContinuationFrame(1, data=piece) for piece in pieces[1:]]
    others[-1].flags.add("END_HEADERS")
    return raw(first, *others)


@pytest.mark.parametrize(
    ("length", "body", "trailers"), [(5, b"hell", False), (5, b"hello!", False), (5, b"hell", True)]
)
def test_a_body_that_is_not_as_long_as_promised(length: int, body: bytes, trailers: bool) -> None:
    """The visitor is cut off, or answered 502; the connection carries nothing more."""
    world, service, visitor = exchange()
    service.pipe.send(headers([STATUS, (b"content-length", b"%d" % length)]))
    service.pipe.send(raw(DataFrame(1, data=body, flags=[] if trailers else ["END_STREAM"])))
    if trailers:
        service.pipe.send(headers([(b"x-sum", b"1")], "END_STREAM"))
    (answer,) = answers(visitor.take())
    assert not answer.complete or answer.status == 502
    assert visitor.lost or answer.status == 502
    assert world.far.lost


def test_a_promised_body_that_does_not_come_at_all() -> None:
    """The head itself ends the stream."""
    world, service, visitor = exchange()
    service.pipe.send(headers([STATUS, (b"content-length", b"5")], "END_STREAM"))
    assert not answers(visitor.take())[0].complete
    assert visitor.lost
    assert world.far.lost


def test_a_body_where_there_is_none() -> None:
    """Of a response to HEAD, of 304, and of one that has no length."""
    head = get().replace(b"GET", b"HEAD")
    for request, fields in (
        (head, [STATUS]),
        (get(), [(b":status", b"304")]),
        (get(), [STATUS, (b"content-length", b"0")]),
    ):
        world, service, visitor = exchange(request)
        service.pipe.send(headers(fields) + raw(DataFrame(1, data=b"evil", flags=["END_STREAM"])))
        assert b"evil" not in visitor.take()
        assert world.far.lost


@pytest.mark.parametrize(
    "name", [b"grpc-status\r\n", b":status", b"X-Sum", b"connection"], ids=["line", "pseudo", "case", "connection"]
)
def test_trailers_that_are_none(name: bytes) -> None:
    """The visitor does not take the response for complete."""
    _, service, visitor = exchange()
    service.begin()
    service.data(b"hello")
    service.pipe.send(headers([(name, b"1")], "END_STREAM"))
    assert not answers(visitor.take())[0].complete


def test_trailers_beyond_their_number() -> None:
    """As of HTTP/1."""
    _, service, visitor = exchange(trailers=3)
    service.begin()
    service.pipe.send(headers([(b"x-%d" % number, b"1") for number in range(4)], "END_STREAM"))
    assert not answers(visitor.take())[0].complete


def test_informational_responses_beyond_their_number() -> None:
    """502, after those that were allowed."""
    world, service, visitor = exchange(informational=3)
    for _ in range(4):
        service.pipe.send(headers([(b":status", b"103")]))
    assert [answer.status for answer in answers(visitor.take())] == [103, 103, 103, 502]
    assert world.far.lost


def test_what_belongs_to_the_relay_is_dropped() -> None:
    """Its own headers, and a cookie for all of its tunnels."""
    _, service, visitor = exchange()
    service.answer(b"", (b"x-egtunnel-error", b"evil"), (b"set-cookie", b"a=1; Domain=relay.test"))
    (answer,) = answers(visitor.take())
    assert answer.word == ""
    assert answer.headers["set-cookie"] == "a=1"


@pytest.mark.parametrize(
    "data",
    [
        raw(
            PushPromiseFrame(1, promised_stream_id=2, data=Encoder().encode([(b":path", b"/")]), flags=["END_HEADERS"])
        ),
        headers([STATUS], stream=2),
        headers([STATUS], stream=3),
        raw(DataFrame(3, data=b"x")),
        raw(DataFrame(1, data=b"x")),
        raw(DataFrame(1, data=b"x" * 140_000))[: 9 + 100_000],
        raw(HeadersFrame(1, data=b"\xff\xff\xff\xff\xff", flags=["END_HEADERS"])),
        raw(HeadersFrame(1, data=b"\x82")) + raw(DataFrame(1, data=b"x")),
        raw(WindowUpdateFrame(1, window_increment=2**31 - 1)),
        b"\0\0\x06\x04\0\0\0\0\0\0\x04\xff\xff\xff\xff",
        b"\xff" * 100,
    ],
    ids=["push", "even", "idle", "data-idle", "no-head", "long", "hpack", "between", "window", "settings", "noise"],
)
def test_frames_that_break_the_rules_end_the_connection(data: bytes) -> None:
    """Before an answer: 502."""
    world, service, visitor = exchange()
    service.pipe.send(data)
    assert is_502(world, visitor)


def test_a_header_block_without_an_end_is_not_collected() -> None:
    """No more than ``header_block`` is held of it."""
    world, service, visitor = exchange()
    service.pipe.send(raw(HeadersFrame(1, data=b"\x00" * 16_000)))
    sent = 16_000
    while not world.far.lost and sent < 1 << 20:
        service.pipe.send(raw(ContinuationFrame(1, data=b"\x00" * 16_000)))
        sent += 16_000
    assert sent <= H2UpstreamLimits().header_block + 16_000
    assert is_502(world, visitor)


def test_continuations_without_content_are_counted() -> None:
    """CVE-2024-27316 and its family."""
    world, service, visitor = exchange()
    service.pipe.send(raw(HeadersFrame(1, data=b"")) + raw(ContinuationFrame(1, data=b"")) * 200)
    assert is_502(world, visitor)


def test_a_header_block_that_unfolds_is_refused() -> None:
    """A few bytes that stand for many: one field of the table, again and again."""
    world, service, visitor = exchange()
    first = Encoder().encode([STATUS, (b"x-bomb", b"y" * 4000)])
    service.pipe.send(raw(HeadersFrame(1, data=first + b"\xbe" * 4000, flags=["END_HEADERS"])))
    assert is_502(world, visitor)


@pytest.mark.parametrize(
    "frame",
    [PingFrame(0, opaque_data=b"12345678"), SettingsFrame(0), DataFrame(1, data=b""), Frame(0)],
    ids=["ping", "settings", "data", "unknown"],
)
def test_floods_of_frames_that_carry_nothing(frame: Frame) -> None:
    """More than are borne end the connection."""
    world, service, visitor = exchange()
    data = frame.serialize() if type(frame) is not Frame else b"\0\0\0\xbb\0\0\0\0\0"
    if isinstance(frame, DataFrame):
        service.begin()
    service.pipe.send(data * 900)
    assert not world.far.lost
    service.pipe.send(data * 300)
    assert world.far.lost
    assert visitor.take()


def test_settings_are_answered_and_bounded() -> None:
    """The table for our headers stays small whatever is offered, and unknown settings are not kept."""
    world, service, _ = exchange()
    upstream: H2Upstream = world.far.protocol
    settings = b"".join(struct.pack(">HL", code, 2**32 - 1) for code in (1, *range(256, 512)))
    service.pipe.send(len(settings).to_bytes(3, "big") + b"\x04\0\0\0\0\0" + settings)
    assert upstream._protocol.encoder.header_table_size == 4096
    assert len(upstream._protocol.remote_settings) < 20
    service.answer()
    for number in range(200):
        world.visitor(get(f"/{number}", "app.relay.test", f"X-Long: {number}" + "y" * 1000))
        service.read()
        service.answer()
    assert upstream._protocol.encoder.header_table._current_size <= 4096


def test_a_service_that_takes_no_streams_is_502() -> None:
    """MAX_CONCURRENT_STREAMS 0 (RFC 9113 section 6.5.2): the kept connection is not used again."""
    world, service, _ = exchange()
    service.pipe.send(raw(SettingsFrame(0, settings={3: 0})))
    service.answer()
    world.visitor(get())
    assert world.app.dials == 2


def test_a_connection_serves_so_many_requests() -> None:
    """``lifetime``; then it is left."""
    world = world_of_h2c()
    upstream = H2Upstream(None, world.clock, world.limits, "relay.test", H2UpstreamLimits(lifetime=2))
    assert upstream.reusable
    upstream._protocol.highest_outbound_stream_id = 1
    assert upstream.reusable
    upstream._protocol.highest_outbound_stream_id = 3
    assert not upstream.reusable


def test_the_bounds_are_those_of_visitors() -> None:
    """One set of numbers for both ends."""
    assert H2UpstreamLimits().visitor == H2Limits()


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 505 HTTP Version not supported\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<html>what?</html>",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
def test_a_service_that_does_not_speak_http_2(greeting: bytes) -> None:
    """A clear 502 at once, however the bytes come."""
    for size in (1, len(greeting)):
        world = world_of_h2c()
        visitor = world.visitor(get())
        for place in range(0, len(greeting), size):
            world.far.send(greeting[place : place + size])
        (answer,) = answers(visitor.take())
        assert (answer.status, answer.word) == (502, "upstream-broke")
        assert b"does not speak HTTP/2" in answer.body
        assert world.far.lost
