"""Lines and addresses of requests over HTTP/2: the same as over HTTP/1, but for the version."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import pytest
from twisted.internet.task import Clock

from egtunnel.ingress.http.access_log import open_access_log
from egtunnel.ingress.http.ingress import SiteSettings
from egtunnel.ingress.peer import Peer
from tests.ingress.http.world import Pipe, World

STRANGER = Peer("192.0.2.7", 4711)
TRUSTED = Peer("10.0.0.1", 1, trusted=True, trusts="10.0.0.1".__eq__)
USUAL = {":method": "GET", ":scheme": "https", ":authority": "app.relay.test", ":path": "/a?secret"}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Logged:
    """A visitor that speaks HTTP/2 to an ingress with an access log."""

    def __init__(self, path: Path, peer: Peer = STRANGER) -> None:
        self.path = path
        self.log = open_access_log(path, "json", Clock(), lambda: 1_700_000_000.0, print)
        self.world = World(settings=SiteSettings(access_log=self.log))
        protocol: Any = self.world.ingress.connection(peer, b"h2")
        self.pipe = Pipe(protocol)
        protocol.makeConnection(self.pipe)
        configuration = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None
        )
        self.h2 = h2.connection.H2Connection(configuration)
        self.h2.initiate_connection()
        self.exchange()

    def exchange(self) -> None:
        """Send what is to be sent, read what came."""
        self.pipe.send(self.h2.data_to_send())
        self.world.clock.advance(0)
        self.h2.receive_data(self.pipe.take())
        self.pipe.send(self.h2.data_to_send())

    def ask(self, fields: dict[str, str], end: bool = True) -> bytes:
        """Send a request on stream 1; what the upstream gets of it."""
        self.h2.send_headers(1, list(fields.items()), end_stream=end)
        self.exchange()
        return self.world.far.take() if self.world.app.upstreams else b""

    def line(self) -> dict[str, Any]:
        """The only line."""
        self.log.close()
        (line,) = self.path.read_text().splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.mark.parametrize(
    ("peer", "client", "scheme", "told"),
    [
        (STRANGER, "192.0.2.7", "http", b"X-Forwarded-For: 192.0.2.7\r\n"),
        (TRUSTED, "203.0.113.9", "https", b"X-Forwarded-For: 203.0.113.9, 10.0.0.1\r\n"),
    ],
)
def test_who_is_believed_over_http2(tmp_path: Path, peer: Peer, client: str, scheme: str, told: bytes) -> None:
    """A trusted peer's headers count; ``:scheme`` is the visitor's own word, and does not."""
    logged = Logged(tmp_path / "log", peer)
    told_so = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", "forwarded": "for=6.6.6.6"}
    seen = logged.ask({**USUAL, **told_so})
    assert told in seen and b"6.6.6.6" not in seen
    assert f"X-Forwarded-Proto: {scheme}\r\n".encode() in seen
    logged.world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    logged.exchange()
    line = logged.line()
    assert (line["client"], line["scheme"], line["protocol"]) == (client, scheme, "HTTP/2.0")
    assert (line["path"], line["status"], line["bytes"], line["complete"]) == ("/a", 200, 5, True)


def test_a_stream_that_the_visitor_resets_has_499(tmp_path: Path) -> None:
    """There was no response."""
    logged = Logged(tmp_path / "log")
    logged.ask(USUAL)
    logged.h2.reset_stream(1)
    logged.exchange()
    assert (logged.line()["status"], logged.line()["complete"]) == (499, False)


def test_a_malformed_request_has_a_line(tmp_path: Path) -> None:
    """Without a request, as over HTTP/1."""
    logged = Logged(tmp_path / "log")
    logged.ask({**USUAL, "connection": "close"})
    line = logged.line()
    assert (line["status"], line["error"], line["method"]) == (400, "bad-request", "")


def test_a_websocket_over_http2_counts_each_byte_once(tmp_path: Path) -> None:
    """Status 200 (RFC 8441), at its end."""
    logged = Logged(tmp_path / "log")
    connect = {**USUAL, ":method": "CONNECT", ":protocol": "websocket", "sec-websocket-version": "13"}
    seen = logged.ask(connect, end=False)
    key = seen.partition(b"Sec-WebSocket-Key: ")[2] or seen.lower().partition(b"sec-websocket-key: ")[2]
    original = seen[len(seen) - len(key) :].partition(b"\r\n")[0]
    accept = base64.b64encode(hashlib.sha1(original + GUID).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    logged.world.far.send(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    logged.world.far.send(b"answer")
    logged.exchange()
    assert logged.path.read_bytes() == b""
    logged.pipe.break_off()
    line = logged.line()
    assert (line["status"], line["bytes"], line["complete"]) == (200, 6, True)
