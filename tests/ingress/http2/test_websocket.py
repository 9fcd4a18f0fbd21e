"""WebSockets over HTTP/2 (RFC 8441): the visitor asks with CONNECT, the service sees the handshake of HTTP/1."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

import pytest
from h2.settings import SettingCodes

from tests.ingress.http2.world import GET, Caller, Fields, call, told

CONNECT: Fields = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    *GET[1:],
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-protocol", b"chat"),
]
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
INTERNAL_ERROR = 2


def switching(key: str) -> bytes:
    """The answer of a service that was asked with this key."""
    accept = b64encode(sha1((key + GUID).encode()).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + accept + b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n"


def opened() -> tuple[Caller, int]:
    """A WebSocket."""
    caller = call()
    number = caller.open(CONNECT)
    caller.answer(switching(told(caller.seen)[1]["sec-websocket-key"]))
    return caller, number


def test_the_relay_says_that_it_can() -> None:
    """SETTINGS_ENABLE_CONNECT_PROTOCOL (section 3)."""
    assert call().h2.remote_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1


def test_the_service_sees_the_handshake_of_http_1() -> None:
    """GET, Upgrade and a key that the relay made."""
    caller = call()
    caller.open(CONNECT)
    first, headers, body = told(caller.seen)
    assert (first, body) == (b"GET / HTTP/1.1", b"")
    assert (headers["upgrade"], headers["connection"].lower()) == ("websocket", "upgrade")
    assert (headers["sec-websocket-version"], headers["sec-websocket-protocol"]) == ("13", "chat")
    assert len(headers["sec-websocket-key"]) == 24


def test_bytes_go_both_ways_and_both_ends_end() -> None:
    """200, then DATA frames; each side ends its own."""
    caller, number = opened()
    reply = caller.reply(number)
    assert (reply.status, dict(reply.fields)[b"sec-websocket-protocol"]) == (200, b"chat")
    assert b"sec-websocket-accept" not in dict(reply.fields)
    caller.data(number, b"\x81\x02hi")
    assert caller.seen == b"\x81\x02hi"
    caller.answer(b"\x81\x02ho")
    assert caller.reply(number).body == b"\x81\x02ho"
    caller.data(number, b"", end=True)
    assert caller.world.far.write_ended
    caller.world.far.finish()
    caller.turn()
    assert (caller.reply(number).ended, caller.reply(number).reset) == (True, None)
    assert caller.world.far.lost


def test_a_wrong_answer_to_the_key_is_none() -> None:
    """What looks like a cached or a stray 101 opens nothing (RFC 6455 section 4.1)."""
    caller = call()
    number = caller.open(CONNECT)
    caller.answer(switching("dGhlIHNhbXBsZSBub25jZQ=="))
    assert caller.reply(number).status == 0
    assert caller.reply(number).reset == INTERNAL_ERROR
    assert caller.world.far.lost


@pytest.mark.parametrize("status", [b"403 Forbidden", b"200 OK"])
def test_a_service_that_says_no_is_heard(status: bytes) -> None:
    """Its response is the visitor's, but for a 200, which would look like a yes."""
    caller = call()
    number = caller.open(CONNECT)
    caller.answer(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno")
    assert caller.reply(number).status == (403 if status.startswith(b"403") else 502)
    assert not caller.goaway


def test_a_stream_of_it_that_is_reset_breaks_off_the_service() -> None:
    """And no other."""
    caller, number = opened()
    far = caller.world.far
    other = caller.ask(GET)
    caller.reset(number)
    assert far.lost
    caller.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert caller.reply(other).ended


def test_a_service_that_breaks_off_resets_its_stream() -> None:
    """Not an end: bytes may be missing."""
    caller, number = opened()
    caller.world.far.break_off()
    caller.turn()
    assert not caller.reply(number).ended
    assert caller.reply(number).reset is not None


def test_a_visitor_that_reads_nothing_pauses_the_service() -> None:
    """No more than a buffer of it waits."""
    caller, _ = opened()
    far = caller.world.far
    for _ in range(20):
        far.send(b"x" * 20_000)
    caller.turn()
    assert not far.reading
    assert len(caller.reply(1).body) == 65_535  # its library gives no credit by itself
    caller.h2.increment_flow_control_window(1 << 20)
    caller.h2.increment_flow_control_window(1 << 20, 1)
    caller.turn(6)
    assert caller.reply(1).body == b"x" * 400_000
