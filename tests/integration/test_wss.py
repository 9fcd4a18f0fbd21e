"""A relay that ends TLS itself: visitors over ``https://``, the client over ``wss://``, and everything as without."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.integration.daemons import Client, SecureRelay
from tests.integration.papers import Papers
from tests.integration.programs import curl
from tests.integration.rawhttp import Connection
from tests.integration.test_programs import GitPages, git
from tests.integration.transfers import MIB, WebService, blocks, growth, raw_service, read_digest, sha256_of_blocks
from tests.integration.upstreams import Nginx, Upstream
from tests.integration.websockets import echo_through
from tests.integration.wstest import echo_server

HELLO = b"hello from nginx\n"
PATIENCE = 120.0
MOST_GROWTH = 64 * MIB
SIZE = 64
"""MiB of one large transfer."""
EVENTS = 5


class Events:
    """A service that writes an event and waits until the visitor has read it."""

    def __init__(self) -> None:
        self.read = threading.Semaphore(0)

    def serve(self, connection: socket.socket) -> None:
        """One visitor's answer."""
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(EVENTS):
            event = b"data: %d\n\n" % number
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            if not self.read.acquire(timeout=PATIENCE):
                return
        connection.sendall(b"0\r\n\r\n")


@attrs.frozen
class House:
    """A relay with TLS and one client, over wss, with tunnels of every kind."""

    papers: Papers
    relay: SecureRelay
    client: Client
    tcp_port: int
    events: Events

    def url(self, name: str, path: str = "/") -> str:
        """The public URL of a tunnel."""
        return f"https://{self.relay.host(name)}{path}"

    def visit(self, name: str) -> http.client.HTTPConnection:
        """A visitor's connection to a tunnel."""
        return self.papers.visit(self.url(name), PATIENCE)

    def curl(self, name: str, path: str, *options: str, data: bytes | None = None) -> bytes:
        """What curl gets of a tunnel."""
        return curl(self.url(name, path), *self.papers.curl_options(self.relay.port), *options, data=data)

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """Both daemons hold no more than their share, and stay calm."""
        with growth(self.relay, self.client) as grown:
            yield
        assert max(grown.values()) < MOST_GROWTH, grown
        self.relay.assert_calm()
        self.client.assert_calm()


@pytest.fixture(scope="module", params=["tls", "websocket"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """One for all tests of this file and each kind of link; both daemons are calm to the end."""
    folder = tmp_path_factory.mktemp("wss")
    papers, events = Papers(folder), Events()
    with contextlib.ExitStack() as stack:
        web, raw = stack.enter_context(WebService()), stack.enter_context(Upstream(raw_service))
        clock = stack.enter_context(Upstream(events.serve))
        echo, echo_port = echo_server(folder)
        stack.callback(echo.end)
        places = {"files": nginx.port, "blocks": web.port, "echo": echo_port, "events": clock.port}
        config = folder / "tunnels.toml"
        tables = [f'[[tunnel]]\nlocal = "{port}"\nname = "{name}"\n' for name, port in places.items()]
        config.write_text("".join(tables) + f'[[tunnel]]\nlocal = "{raw.port}"\ntcp = 0\n')
        relay = SecureRelay(
            folder, papers.domain, papers.ca, *papers.relay_options, "--tcp-ports", "23900-23949", "--hold", "10"
        )
        stack.callback(relay.end)
        client = Client(relay.ready(), "--config", str(config), "--link", request.param)
        stack.callback(client.end)
        for name in places:
            client.wait_for(f"^https://{name}")
        yield House(papers, relay, client, client.tcp_port(), events)
        relay.assert_calm()
        client.assert_calm()


def test_the_client_prints_https_addresses_that_curl_opens(house: House) -> None:
    """The certificate is verified by both programs; HTTP/1.1 and, where curl may choose, HTTP/2."""
    assert house.client.wait_for(r"^(\S+) -> ").group(1).startswith(f"https://files.{house.papers.domain}:")
    for version, seen in (("--http1.1", b"1.1"), ("--http2", b"2")):
        answer = house.curl("files", "/hello", version, "--write-out", "%{http_version}")
        assert answer == HELLO + seen


def test_what_is_told_to_the_service(house: House) -> None:
    """The visitor's scheme and address."""
    host, address, scheme, forwarded = house.curl("files", "/echo-headers").decode().strip().split("|")
    assert (host, address, scheme) == (house.relay.host("files"), "127.0.0.1", "https")
    assert "proto=https" in forwarded


def test_many_requests_on_one_connection(house: House) -> None:
    """Keep-alive: the TLS connection of the visitor stays, with answers in order."""
    visitor = house.visit("files")
    own = visitor.sock
    for _ in range(200):
        visitor.request("GET", "/hello")
        assert visitor.getresponse().read() == HELLO
        assert visitor.sock is own
    visitor.close()


def test_an_idle_visitor_who_hangs_up_leaves_nothing_behind(house: House) -> None:
    """With close_notify or without, in the handshake or after it."""
    before = house.relay.descriptors()
    for _ in range(20):
        plain = socket.create_connection(("127.0.0.1", house.relay.port))
        plain.send(b"\x16\x03\x01")
        plain.close()
        house.visit("files").close()
    for _ in range(100):
        house.visit("files").close()
        if house.relay.descriptors() <= before + 2:
            break
    assert house.relay.descriptors() <= before + 2


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_a_large_download_arrives_whole(house: House, framing: str) -> None:
    """64 MiB with their checksum; no daemon holds more than its bounded share."""
    with house.bounded():
        visitor = house.visit("blocks")
        visitor.request("GET", f"/{framing}/{SIZE}")
        answer = visitor.getresponse()
        assert read_digest(answer) == (sha256_of_blocks(SIZE), SIZE * MIB)
        visitor.close()


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_a_large_upload_arrives_whole(house: House, framing: str) -> None:
    """64 MiB the other way."""
    with house.bounded():
        visitor = house.visit("blocks")
        headers = {"Content-Length": str(SIZE * MIB)} if framing == "sized" else {"Transfer-Encoding": "chunked"}
        visitor.request("POST", "/", blocks(SIZE), headers, encode_chunked=framing == "chunked")
        answer = visitor.getresponse().read().decode()
        assert answer == f"{sha256_of_blocks(SIZE)} {SIZE * MIB} {framing}"
        visitor.close()


def test_a_large_download_over_http2(house: House) -> None:
    """The same through the other version of HTTP, by curl."""
    with house.bounded():
        body = house.curl("blocks", f"/sized/{SIZE}", "--http2")
    assert hashlib.sha256(body).hexdigest() == sha256_of_blocks(SIZE)


def test_a_slow_reader_stops_only_itself(house: House) -> None:
    """A visitor who does not read its download: others are served, and nothing piles up."""
    with house.bounded():
        slow = house.visit("blocks")
        slow.request("GET", f"/sized/{4 * SIZE}")
        for _ in range(20):
            assert house.curl("files", "/hello") == HELLO
        slow.close()


def test_websockets_echo(house: House) -> None:
    """Fifty at once, with messages up to 100 KB, and the closing handshake."""
    sizes, tls = [1, 125, 126, 4096, 65_535, 100_000], house.papers.context()
    asyncio.run(echo_through(house.relay.port, house.relay.host("echo"), 50, sizes, PATIENCE, tls))


def test_a_large_websocket_message_comes_back(house: House) -> None:
    """16 MiB in one message."""
    port, tls = house.relay.port, house.papers.context()
    asyncio.run(echo_through(port, house.relay.host("echo"), 1, [16 * MIB], PATIENCE, tls))


def test_events_arrive_one_by_one(house: House) -> None:
    """Each is read before the next is written: TLS collects nothing on the way."""
    visitor = house.visit("events")
    visitor.request("GET", "/")
    answer = visitor.getresponse()
    heard: list[bytes] = []
    while len(heard) < EVENTS:
        line = answer.readline()
        assert line, "the events ended"
        if line.startswith(b"data: "):
            heard.append(line)
            house.events.read.release()
    assert heard == [b"data: %d\n" % number for number in range(EVENTS)]
    assert answer.read().strip() == b""
    visitor.close()


def test_a_tcp_tunnel_over_wss(house: House) -> None:
    """Bytes both ways, 64 MiB, with half-close: the visitor's side is plain TCP, the link is not."""
    with house.bounded():
        with Connection(house.tcp_port, PATIENCE) as visitor:
            visitor.send(b"D %d\n" % SIZE)
            with visitor.socket.makefile("rb") as stream:
                assert read_digest(stream) == (sha256_of_blocks(SIZE), SIZE * MIB)
        with Connection(house.tcp_port, PATIENCE) as visitor:
            visitor.send(b"U\n")
            for block in blocks(SIZE):
                visitor.send(block)
            visitor.finish()
            assert visitor.rest().decode() == f"{sha256_of_blocks(SIZE)} {SIZE * MIB}"


def test_git_clones_and_pushes(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone, a push of 2 MiB in chunks and a second clone: the same commits everywhere."""

    class Pages(GitPages):
        root = tmp_path

    git(tmp_path, "init", "--bare", "origin.git")
    git(tmp_path / "origin.git", "config", "http.receivepack", "true")
    with WebService(Pages) as service:
        client = Client(house.relay, "--local", str(service.port), "--name", "git")
        try:
            place = house.relay.host("git")
            monkeypatch.setenv("GIT_SSL_CAINFO", str(house.papers.ca))  # which an environment may have set otherwise
            trust = ["-c", f"http.curloptResolve={place}:127.0.0.1"]
            url = f"{client.url()}/origin.git"
            git(tmp_path, *trust, "clone", url, "one")
            (tmp_path / "one" / "large").write_bytes(os.urandom(2 * MIB))
            git(tmp_path / "one", "add", "large")
            git(tmp_path / "one", "commit", "-m", "large")
            git(tmp_path / "one", *trust, "-c", "http.postBuffer=65536", "push", "origin", "HEAD:main")
            git(tmp_path, *trust, "clone", "--branch", "main", url, "two")
            client.assert_calm()
        finally:
            client.end()
    assert git(tmp_path / "one", "rev-parse", "HEAD") == git(tmp_path / "two", "rev-parse", "HEAD")
    assert git(tmp_path / "two", "fsck", "--full") == ""
