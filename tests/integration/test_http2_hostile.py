"""Attackers of HTTP/2 against a real relay: the connection ends with GOAWAY, memory stays, others are served."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from hyperframe.frame import Frame, GoAwayFrame

from tests.integration.daemons import PATIENCE, Client, Relay
from tests.integration.h2visitor import H2Visitor
from tests.integration.http2_attacks import ATTACKS, PREFACE, Attack
from tests.integration.transfers import MIB, growth
from tests.integration.upstreams import Nginx

MOST_GROWTH = 20 * MIB
AT_ONCE = 4
"""Attackers."""
WORDS = {
    1: "PROTOCOL_ERROR",
    3: "FLOW_CONTROL_ERROR",
    5: "STREAM_CLOSED",
    9: "COMPRESSION_ERROR",
    11: "ENHANCE_YOUR_CALM",
}


@attrs.frozen
class End:
    """How an attack ended: the code of its GOAWAY, seconds until it came, bytes that were sent until then."""

    code: int
    seconds: float
    sent: int


def attack(port: int, pieces: Iterator[bytes]) -> End:
    """Send as fast as the relay takes it until it has said GOAWAY and ended the connection."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        begin, sent, heard = time.monotonic(), 0, b""
        connection.sendall(PREFACE)
        connection.settimeout(0.01)
        while time.monotonic() - begin < PATIENCE:
            with contextlib.suppress(TimeoutError):
                try:
                    data = connection.recv(65_536)
                except ConnectionError:
                    data = b""
                heard += data
                if not data or _goaway(heard) is not None:
                    break
            piece = next(pieces)
            sent += len(piece)
            connection.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionError):  # what it had to say before can still be read
                connection.sendall(piece)
            connection.settimeout(0.001)
        seconds = time.monotonic() - begin
        connection.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(65_536):
                heard += data
        code = _goaway(heard)
        assert code is not None, "no GOAWAY"
        return End(code, seconds, sent)


def _goaway(data: bytes) -> int | None:
    """The code of the first GOAWAY."""
    while len(data) >= 9:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        if isinstance(frame, GoAwayFrame) and len(data) >= 9 + length:
            frame.parse_body(memoryview(data[9 : 9 + length]))
            return int(frame.error_code)
        data = data[9 + length :]
    return None


@pytest.mark.parametrize("kind", ATTACKS, ids=lambda kind: kind.__name__)
def test_an_attack_ends_with_goaway_and_costs_little(
    relay: Relay, connect: Callable[..., Client], nginx: Nginx, kind: Attack
) -> None:
    """Four at once, twice; another visitor is served meanwhile; nothing is left of them."""
    connect("--local", str(nginx.port), "--name", "app").url()
    host = relay.host("app")
    head = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", host.encode()), (b":path", b"/")]
    with H2Visitor(relay.port) as other, ThreadPoolExecutor(AT_ONCE) as attackers:
        assert other.ask(head).status == 200
        before = relay.descriptors()
        with growth(relay) as grown:
            for _ in range(2):
                running = [attackers.submit(attack, relay.port, kind(host)) for _ in range(AT_ONCE)]
                while not all(one.done() for one in running):
                    assert other.ask(head).status == 200
                ends = [one.result() for one in running]
        assert other.ask(head).status == 200
    said, slowest = WORDS[ends[0].code], max(end.seconds for end in ends)
    print(f"{kind.__name__}: {said} after {slowest:.2f} s, {ends[0].sent} bytes; +{grown['Relay'] / MIB:.1f} MiB")
    assert {end.code for end in ends} <= set(WORDS), ends
    assert grown["Relay"] < MOST_GROWTH, grown
    assert relay.descriptors() <= before + 8  # kept connections of the other visitor's
    relay.assert_calm()
