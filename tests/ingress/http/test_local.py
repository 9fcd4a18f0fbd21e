"""The relay's own host: link, health, start page, and tunnels by path."""

from __future__ import annotations

from typing import Any

import pytest

from egtunnel.ingress.http.ingress import SiteSettings
from egtunnel.ingress.peer import Peer
from tests.ingress.http.world import Answer, Pipe, World, answers, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LINK = get("/connect?x=1", "relay.test", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k")


def ask(request: bytes) -> Answer:
    """The answer to one request."""
    (answer,) = answers(World().visitor(request).taken)
    return answer


@pytest.mark.parametrize("host", ["relay.test", "RELAY.test.:8080", "127.0.0.1:7070", "[::1]"])
def test_healthz_says_ok(host: str) -> None:
    """By its name and by any address."""
    answer = ask(get("/healthz", host))
    assert (answer.status, answer.body.strip(), answer.headers["cache-control"]) == (200, b"ok", "no-store")
    assert answer.word == ""


def test_own_pages_keep_the_connection() -> None:
    """Many on one, pipelined too."""
    visitor = World().visitor(get("/healthz", "relay.test") * 3)
    assert [answer.status for answer in answers(visitor.taken)] == [200] * 3
    assert not visitor.lost


def test_the_start_page_says_how_to_connect() -> None:
    """With the line to type that the relay's options make, escaped, and no token in it."""
    world = World(settings=SiteSettings(client_line="twistd -n egclient --relay wss://relay.test --local <8080>"))
    (answer,) = answers(world.visitor(get("/", "relay.test")).taken)
    assert answer.status == 200
    assert "twistd -n egclient --relay wss://relay.test --local &lt;8080&gt;" in answer.body.decode()


def test_own_pages_can_only_be_read() -> None:
    """GET and HEAD; no other method means anything there."""
    for target in ("/", "/healthz", "/nothing"):
        answer = ask(b"DELETE %b HTTP/1.1\r\nHost: relay.test\r\n\r\n" % target.encode())
        assert (answer.status, answer.headers["allow"], answer.word) == (405, "GET, HEAD", "method-not-allowed")
    assert ask(b"OPTIONS * HTTP/1.1\r\nHost: relay.test\r\n\r\n").status == 405


def test_what_is_not_there_is_404() -> None:
    """No tunnel of that name either."""
    for target in ("/nobody", "/nobody/", "/favicon.ico", "/%61pp/"):
        answer = ask(get(target, "relay.test"))
        assert (answer.status, answer.word) == (404, "unknown-tunnel")


def test_a_tunnel_can_be_reached_by_path() -> None:
    """The prefix is taken off and told; the rest is passed on as it is, with any method."""
    world = World()
    world.visitor(b"PATCH /app//x/%2e%2e/?q HTTP/1.1\r\nHost: relay.test\r\nX-Forwarded-Prefix: /evil\r\n\r\n")
    head, _, fields = world.far.taken.partition(b"\r\n")
    assert head == b"PATCH //x/%2e%2e/?q HTTP/1.1"
    assert fields.count(b"X-Forwarded-Prefix: ") == 1
    assert b"\r\nX-Forwarded-Prefix: /app\r\n" in fields
    assert b"\r\nX-Forwarded-Host: relay.test\r\n" in fields


def test_a_name_without_its_slash_is_redirected() -> None:
    """So that relative links work; method and query are kept."""
    answer = ask(get("/App?q=1", "relay.test"))
    assert (answer.status, answer.headers["location"]) == (308, "/app/?q=1")


def test_a_link_is_handed_over_whole() -> None:
    """From the first byte of the request; then every byte, and no time-out of ours."""
    world = World()
    visitor = world.visitor(LINK + b"early")
    (link,) = world.links
    assert link.received == (
        b"GET /connect?x=1 HTTP/1.1\r\nHost: relay.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: k\r\n\r\nearly"
    )
    transport: Any = link.transport
    transport.write(b"HTTP/1.1 101 ...")
    assert visitor.taken == b"HTTP/1.1 101 ..."
    visitor.send(b"later")
    assert link.received.endswith(b"earlylater")
    world.pass_time(1000, step=100)
    assert not visitor.lost
    transport.registerProducer(visitor, True)  # the slot is free


def test_a_link_hears_of_its_end() -> None:
    """Orderly or not."""
    for end in ("finish", "break_off"):
        world = World()
        getattr(world.visitor(LINK), end)()
        assert world.links[0].reason is not None


def test_a_link_is_no_visitor() -> None:
    """It does not count as one, and lives on when the ingress closes."""
    world = World()
    left: list[bool] = []
    protocol: Any = world.ingress.connection(Peer(), on_left=lambda: left.append(True))
    link = Pipe(protocol)
    protocol.makeConnection(link)
    assert not left
    link.send(LINK)
    assert left
    world.ingress.close()
    assert not link.lost


@pytest.mark.parametrize(
    "request_",
    [
        get("/connect", "relay.test"),
        get("/connect", "relay.test", "Connection: Upgrade", "Upgrade: tls"),
        LINK.replace(b"GET", b"PUT"),
    ],
)
def test_the_link_path_wants_a_websocket(request_: bytes) -> None:
    """426 says so, and which."""
    answer = ask(request_)
    assert (answer.status, answer.word, answer.headers["upgrade"]) == (426, "upgrade-required", "websocket")


def test_the_link_path_of_a_tunnel_is_the_tunnels() -> None:
    """Only the own host has one."""
    world = World()
    world.visitor(LINK.replace(b"relay.test", b"app.relay.test"))
    assert world.links == []
    assert b"/connect?x=1" in world.far.taken
