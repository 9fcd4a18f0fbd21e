"""Which requests have a line in the access log, and what it says of their fate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from egtunnel.ingress.http.access_log import AccessLog, open_access_log
from egtunnel.ingress.http.ingress import SiteSettings
from egtunnel.ingress.peer import Peer
from tests.ingress.http.world import World, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Logged:
    """A world with an access log."""

    def __init__(self, path: Path, **limits: Any) -> None:
        self.path = path
        self.log: AccessLog = open_access_log(path, "json", Clock(), lambda: 1_700_000_000.0, print)
        self.world = World(settings=SiteSettings(access_log=self.log), **limits)

    def lines(self) -> list[dict[str, Any]]:
        """What was logged."""
        self.log.close()
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def line(self) -> dict[str, Any]:
        """The only one."""
        (line,) = self.lines()
        return line


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    """A world with an access log."""
    return Logged(tmp_path / "access.log")


def test_a_request_has_a_line_when_it_is_over(logged: Logged) -> None:
    """With the tunnel, the bytes of the body, and how long it took."""
    world = logged.world
    world.visitor(get("/a?token=secret"))
    world.pass_time(2)
    world.far.send(OK[:-2])
    assert logged.path.read_bytes() == b""
    world.far.send(OK[-2:])
    line = logged.line()
    assert (line["path"], line["tunnel"], line["status"], line["bytes"]) == ("/a", "app", 200, 5)
    assert (line["seconds"], line["time"]) == (2.0, "2023-11-14T22:13:18.000Z")
    assert (line["client"], line["scheme"], line["complete"]) == ("192.0.2.7", "http", True)


def test_each_request_of_a_connection_has_its_line(logged: Logged) -> None:
    """In the order of their ends, with the address that each was believed to be of."""
    trusted = Peer("10.0.0.1", 1, trusted=True, trusts="10.0.0.1".__eq__)
    visitor = logged.world.visitor(peer=trusted)
    for address in ("203.0.113.1", "203.0.113.2"):
        visitor.send(get("/", "app.relay.test", f"X-Forwarded-For: {address}", "X-Forwarded-Proto: https"))
        logged.world.far.send(OK)
    assert [(line["client"], line["scheme"]) for line in logged.lines()] == [
        ("203.0.113.1", "https"),
        ("203.0.113.2", "https"),
    ]


@pytest.mark.parametrize(
    ("request_bytes", "status", "error", "path"),
    [
        (get("/x", "nobody.relay.test"), 404, "unknown-tunnel", "/x"),
        (get("/healthz", "relay.test"), 200, "", "/healthz"),
        (get("/nothing/here", "relay.test"), 404, "unknown-tunnel", "/nothing/here"),
        (b"nonsense\r\n\r\n", 400, "bad-request", ""),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad-request", ""),
        (b"\x16\x03\x01\r\n\r\n", 400, "bad-request", ""),
    ],
)
def test_what_the_relay_answers_itself_has_a_line(
    logged: Logged, request_bytes: bytes, status: int, error: str, path: str
) -> None:
    """Also what never became a request."""
    logged.world.visitor(request_bytes)
    line = logged.line()
    assert (line["status"], line["error"], line["path"], line["tunnel"]) == (status, error, path, "")
    assert line["client"] == "192.0.2.7"


def test_a_head_that_does_not_come_has_a_line(logged: Logged) -> None:
    """408, without a request."""
    logged.world.visitor(b"GET / HT")
    logged.world.pass_time(60)
    assert (logged.line()["status"], logged.line()["method"]) == (408, "")


def test_a_body_that_cannot_be_read_is_of_its_request(logged: Logged) -> None:
    """One line, with the request's path and 400."""
    logged.world.visitor(b"POST /p HTTP/1.1\r\nHost: app.relay.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
    line = logged.line()
    assert (line["path"], line["status"], line["tunnel"]) == ("/p", 400, "app")


def test_a_visitor_who_goes_first_has_499(logged: Logged) -> None:
    """There was no response."""
    logged.world.visitor(get("/slow")).break_off()
    line = logged.line()
    assert (line["status"], line["complete"], line["path"]) == (499, False, "/slow")


def test_a_response_that_is_cut_short_says_so(logged: Logged) -> None:
    """Whoever cut it; the status is the one that was sent."""
    world = logged.world
    world.visitor(get("/1"))
    world.far.send(OK[:-1])
    world.far.break_off()
    visitor = world.visitor(get("/2"))
    world.far.send(OK[:-2])
    visitor.break_off()
    assert [(line["path"], line["status"], line["bytes"], line["complete"]) for line in logged.lines()] == [
        ("/1", 200, 4, False),
        ("/2", 200, 3, False),
    ]


def test_a_websocket_has_its_line_at_its_end(logged: Logged) -> None:
    """With the bytes that were sent to the visitor, and the time that it lasted."""
    world = logged.world
    visitor = world.visitor(get("/ws", "app.relay.test", "Connection: Upgrade", "Upgrade: websocket"))
    world.far.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
    visitor.send(b"question")
    world.far.send(b"answer")
    world.pass_time(5)
    assert logged.path.read_bytes() == b""
    visitor.break_off()
    line = logged.line()
    assert (line["status"], line["bytes"], line["seconds"], line["complete"]) == (101, 11, 5.0, True)


def test_a_clients_link_has_its_line_at_its_end(logged: Logged) -> None:
    """It is a request to the relay's own host."""
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    visitor = logged.world.visitor(get("/connect?a=b", "relay.test", *lines))
    assert logged.path.read_bytes() == b""
    visitor.break_off()
    line = logged.line()
    assert (line["status"], line["path"], line["complete"]) == (101, "/connect", True)


def test_without_a_log_nothing_is_kept_of_a_request() -> None:
    """``record`` is None."""
    assert attrs.fields(SiteSettings).access_log.default is None
    world = World()
    visitor = world.visitor(get("/"))
    connection: Any = visitor.protocol
    assert connection._responder.record is None
