"""The visitor's address on its way: what upstreams and dialers are told of requests through trusted proxies."""

from __future__ import annotations

import pytest

from egtunnel.ingress.http.ingress import SiteSettings
from egtunnel.ingress.peer import Peer
from tests.ingress.http.world import World, answers, get

PROXY, VISITOR = "10.0.0.1", "203.0.113.9"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def trusts(host: str) -> bool:
    return host.startswith("10.")


TRUSTED = Peer(PROXY, 4711, trusted=True, trusts=trusts)
STRANGER = Peer("192.0.2.7", 4711, trusts=trusts)


def headers(request: bytes) -> dict[str, str]:
    """The headers of a request that an upstream got, names in lower case, each once."""
    lines = [line.partition(": ") for line in request.decode("latin-1").split("\r\n")[1:] if line]
    found = {name.lower(): value for name, _, value in lines}
    assert len(found) == len(lines), lines
    return found


def seen(world: World, peer: Peer, *lines: str) -> dict[str, str]:
    """What the upstream sees of a request with these headers."""
    world.visitor(get("/", "app.relay.test", *lines), peer=peer)
    return headers(world.far.take())


def test_nobody_but_a_trusted_peer_is_believed() -> None:
    """All that tells of a visitor is replaced by what the connection itself says, underscores and case included."""
    world = World()
    forged = ("X-Forwarded-For: 6.6.6.6", "x_forwarded_for: 6.6.6.6", "X-FORWARDED-PROTO: https", "X-Real-IP: 6.6.6.6")
    found = seen(world, STRANGER, *forged, "X-Forwarded-Host: evil.example", "Forwarded: for=6.6.6.6;proto=https")
    assert found["x-forwarded-for"] == "192.0.2.7"
    assert found["x-forwarded-proto"] == "http"
    assert found["x-forwarded-host"] == "app.relay.test"
    assert found["forwarded"] == 'for=192.0.2.7;host="app.relay.test";proto=http'
    assert "6.6.6.6" not in str(found) and "evil" not in str(found)
    assert (world.app.visitors[0].host, world.app.visitors[0].port) == ("192.0.2.7", 4711)


def test_a_trusted_proxy_is_believed() -> None:
    """The upstream sees the visitor first and the proxy last; the dialer is told the visitor's address."""
    world = World()
    told = (f"X-Forwarded-For: 6.6.6.6, {VISITOR}:80, 10.0.0.2", "X-Forwarded-Proto: https")
    found = seen(world, TRUSTED, *told, "X-Forwarded-Host: app.example")
    assert found["x-forwarded-for"] == f"{VISITOR}, 10.0.0.2, {PROXY}"
    assert found["x-forwarded-proto"] == "https"
    assert found["x-forwarded-host"] == "app.example"
    elements = f'for={VISITOR};host="app.example";proto=https, for=10.0.0.2, for={PROXY}'
    assert found["forwarded"] == elements
    visitor = world.app.visitors[0]
    assert (visitor.host, visitor.port, visitor.name) == (VISITOR, 80, "app")


def test_ipv6_addresses_are_written_as_rfc_7239_wants_them() -> None:
    """In brackets and quotes in Forwarded, bare in X-Forwarded-For."""
    found = seen(World(), TRUSTED, 'Forwarded: for="[2001:db8::9]:80"')
    assert found["x-forwarded-for"] == f"2001:db8::9, {PROXY}"
    assert found["forwarded"] == f'for="[2001:db8::9]";host="app.relay.test";proto=http, for={PROXY}'


def test_a_trusted_peer_that_says_nothing_is_the_visitor() -> None:
    """As any other."""
    world = World()
    assert seen(world, TRUSTED)["x-forwarded-for"] == PROXY
    assert world.app.visitors[0].host == PROXY


def test_each_request_of_a_connection_may_come_from_somebody_else() -> None:
    """A proxy uses one connection for many visitors; nothing of one request is left for the next."""
    world = World()
    connection = world.visitor(peer=TRUSTED)
    addresses = []
    for line in (f"X-Forwarded-For: {VISITOR}", f"X-Forwarded-For: {VISITOR}", "X-Forwarded-For: 192.0.2.1", "A: b"):
        connection.send(get("/", "app.relay.test", line))
        addresses.append(headers(world.far.take())["x-forwarded-for"])
        world.far.send(ANSWER)
    assert addresses == [f"{VISITOR}, {PROXY}", f"{VISITOR}, {PROXY}", f"192.0.2.1, {PROXY}", PROXY]


def test_connection_options_take_nothing_away() -> None:
    """Connection: X-Forwarded-For is a known trick."""
    line = f"X-Forwarded-For: {VISITOR}"
    found = seen(World(), TRUSTED, line, "Connection: X-Forwarded-For, Forwarded, X-Forwarded-Proto")
    assert found["x-forwarded-for"] == f"{VISITOR}, {PROXY}"
    assert "forwarded" in found and "x-forwarded-proto" in found


@pytest.mark.parametrize(
    ("peer", "line", "status"),
    [
        (TRUSTED, "X-Forwarded-Proto: https", 200),
        (TRUSTED, "Forwarded: proto=https", 200),
        (TRUSTED, "X-Forwarded-Proto: http", 308),
        (STRANGER, "X-Forwarded-Proto: https", 308),
        (STRANGER, "Forwarded: proto=https", 308),
    ],
)
def test_who_came_by_https_is_not_sent_there_again(peer: Peer, line: str, status: int) -> None:
    """A trusted proxy ended TLS; anybody else's word is worth nothing."""
    world = World("https", 443, settings=SiteSettings(redirect=True))
    visitor = world.visitor(get("/", "app.relay.test", line), peer=peer)
    if world.app.upstreams:
        world.far.send(ANSWER)
    assert answers(visitor.take())[0].status == status


def test_http_versions_are_named_in_via() -> None:
    """What the visitor, or the proxy, spoke to us (RFC 9110 section 7.6.3)."""
    world = World()
    world.visitor(get("/", "app.relay.test", version="1.0"), peer=TRUSTED)
    assert headers(world.far.take())["via"] == "1.0 egtunnel"
    assert seen(world, TRUSTED, f"X-Forwarded-For: {VISITOR}")["via"] == "1.1 egtunnel"


def test_the_limit_of_hops_is_the_ingresses_own() -> None:
    """Beyond it the last trusted address counts as the visitor."""
    line = f"X-Forwarded-For: {VISITOR}, 10.0.0.3, 10.0.0.2"
    assert seen(World(hops=2), TRUSTED, line)["x-forwarded-for"] == f"10.0.0.3, 10.0.0.2, {PROXY}"
