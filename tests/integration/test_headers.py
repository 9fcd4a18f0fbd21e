"""Headers, paths and error pages between real processes."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

from tests.integration.daemons import Client, Daemon, Relay
from tests.integration.rawhttp import Answer, Connection
from tests.integration.upstreams import Upstream

Start = Callable[[Daemon], Daemon]

RESPONSE = (
    b"HTTP/1.1 302 Found\r\nServer: secret/1.0\r\nLocation: /app/login\r\nConnection: X-Inner\r\nX-Inner: 1\r\n"
    b"Keep-Alive: timeout=9\r\nSet-Cookie: a=b; Domain=.LOCALHOST; Path=/\r\nContent-Length: 0\r\n\r\n"
)


class Service:
    """Answers every request with ``RESPONSE`` and keeps the heads of requests."""

    def __init__(self) -> None:
        self.heads: list[str] = []

    def __call__(self, connection: socket.socket) -> None:
        data = b""
        while piece := connection.recv(65_536):
            data += piece
            while b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                self.heads.append(head.decode("latin-1"))
                connection.sendall(RESPONSE)


def ask(relay: Relay, name: str, target: str, *headers: str) -> Answer:
    """The answer to a GET that is sent as it is written."""
    with Connection(relay.port) as visitor:
        visitor.send("\r\n".join([f"GET {target} HTTP/1.1", f"Host: {relay.host(name)}", *headers, "", ""]).encode())
        return visitor.answer()


def test_what_the_clients_options_say_holds_at_the_relay(
    relay: Relay, connect: Callable[..., Client], tmp_path: Path
) -> None:
    """From the command line through the claim to requests and responses, beside the relay's own rules."""
    service = Service()
    with Upstream(service) as upstream:
        client = connect(
            "--local", str(upstream.port), "--name", "app", "--path-prefix", "/app", "--host-header", "dev.test",
            "--request-header-set", "X-Key: k3y", "--request-header-remove", "Cookie",
            "--response-header-remove", "server", "--response-header-add", "X-Frame-Options: DENY",
        )  # fmt: skip
        client.url()
        answer = ask(
            relay, "app", "/x?y", "Cookie: a=b", "X_Key: theirs", "X_Forwarded_For: 6.6.6.6",
            "x-forwarded-for: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6", "Connection: X-Hop", "X-Hop: 1",
            "Via: 1.0 elsewhere",
        )  # fmt: skip
        (head,) = service.heads
        assert head.startswith("GET /app/x?y HTTP/1.1\r\nHost: dev.test\r\n")
        assert re.findall(r"(?im)^(?:x[-_]key|via|x[-_]forwarded[-_]for|cookie|x-hop|x-real-ip): *(.*?)\r?$", head) == [
            "1.0 elsewhere",
            "k3y",
            "127.0.0.1",
            "1.1 egtunnel",
        ]
        assert "6.6.6.6" not in head
        assert answer.status == 302
        assert (answer.headers["location"], answer.headers["x-frame-options"]) == ("/login", "DENY")
        assert answer.headers["set-cookie"] == "a=b; Path=/"
        assert not answer.headers.keys() & {"server", "x-inner", "keep-alive", "via"}
        assert ask(relay, "app", "/%2e%2e/x").status == 400
        many = ", ".join(["1.1 egtunnel"] * 10)
        loop = ask(relay, "app", "/", f"Via: {many}")
        assert (loop.status, loop.error) == (508, "loop-detected")
        assert len(service.heads) == 1
    relay.assert_calm()


def test_a_tunnel_that_leads_back_to_its_own_relay_ends(relay: Relay, connect: Callable[..., Client]) -> None:
    """After ten times round, not when something is exhausted."""
    connect("--local", str(relay.port), "--name", "ring").url()
    answer = ask(relay, "ring", "/")
    assert answer.status == 508
    assert b"loop-detected" in answer.body  # the header is the last relay's own word, and that one passed an answer on
    relay.assert_calm()


def test_error_pages_are_read_from_the_folder(tmp_path: Path, start: Start) -> None:
    """Everybody's, and a tunnel's own."""
    pages = tmp_path / "pages"
    (pages / "app").mkdir(parents=True)
    (pages / "default.html").write_text("{status} for {host}")
    (pages / "app" / "5xx.html").write_text("{word}")
    relay = Relay(tmp_path, "--tcp-ports", "none", "--error-pages", str(pages))
    start(relay)
    with Upstream(lambda connection: None) as upstream:
        client = Client(relay.ready(), "--local", str(upstream.port), "--name", "app")
        start(client)
        client.url()
        answer = ask(relay, "app", "/")
        assert (answer.status, answer.body, answer.error) == (502, b"upstream-broke", "upstream-broke")
        answer = ask(relay, "nobody", "/")
        assert (answer.status, answer.body) == (404, f"404 for {relay.host('nobody')}".encode())
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["date"]
    relay.assert_calm()
