"""One port for everything: what a connection is, told by its first bytes."""

from __future__ import annotations

import pytest

from egtunnel.ingress.front.door import PREFACE
from egtunnel.ingress.front.last_words import NO_TLS
from egtunnel.ingress.http.ingress import HTTPIngress
from tests.ingress.front.headers import proxied_v2
from tests.ingress.front.street import Street, Tls
from tests.ingress.http.world import World, answers, get

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
"""The start of a ClientHello."""


def test_plain_http_is_told_by_its_first_byte_and_loses_none() -> None:
    """The HTTP/1 parser is the last row: what is nothing else is its business."""
    for first in (get(), b"\x80garbage", b"\x00", b"G"):
        street = Street()
        pipe = street.comes(first)
        assert (street.guest.protocol, street.guest.received) == (b"http/1.1", first)
        assert pipe.protocol is street.guest
        pipe.send(b"more")
        assert street.guest.received == first + b"more"


def test_http2_without_tls_is_told_by_its_preface() -> None:
    """However its bytes come; what follows is delivered as well."""
    for pieces in ((PREFACE + b"x",), [bytes([byte]) for byte in PREFACE + b"x"]):
        street = Street()
        street.comes(*pieces)
        assert (street.guest.protocol, street.guest.received) == (b"h2", PREFACE + b"x")


def test_what_starts_like_the_preface_and_is_not_is_http1() -> None:
    """With every byte that was held back until that was clear."""
    for text in (b"PUT / HTTP/1.1\r\n", b"PRI * HTTP/1.1\r\n"):
        street = Street()
        street.comes(*[bytes([byte]) for byte in text])
        assert (street.guest.protocol, street.guest.received) == (b"http/1.1", text)


def test_tls_is_told_by_its_first_byte_and_built_by_alpn() -> None:
    """Who speaks, with SNI and all, comes from the handshake; no ALPN means HTTP/1."""
    for chosen, protocol in ((b"h2", b"h2"), (b"http/1.1", b"http/1.1"), (b"", b"http/1.1")):
        tls = Tls()
        street = Street(tls=tls)
        pipe = street.comes(HELLO[:1], HELLO[1:])
        (handshake,) = tls.handshakes
        assert handshake.received == HELLO
        assert street.rooms.guests == []
        handshake.finish(chosen)
        assert street.guest.protocol == protocol
        assert (street.guest.peer.host, street.guest.peer.tls_name) == ("192.0.2.7", "a.test")
        pipe.finish()
        assert street.guest.lost == 1
        assert street.door.census.visitors == 0


def test_without_a_certificate_tls_is_refused_in_its_own_words() -> None:
    """An alert handshake_failure, and the end; what the visitor still sends is thrown away."""
    street = Street()
    pipe = street.comes(HELLO)
    pipe.send(b"more of the hello")
    assert pipe.taken == NO_TLS == bytes.fromhex("15030100020228")
    assert pipe.write_ended
    pipe.finish()
    assert pipe.lost
    assert (street.door.census.visitors, street.clock.getDelayedCalls()) == (0, [])


def test_too_many_handshakes_are_closed_at_once() -> None:
    """The termination says so; the place is free again."""
    tls = Tls()
    tls.full = True
    street = Street(tls=tls)
    pipe = street.comes(HELLO)
    assert (pipe.aborted, pipe.taken, street.door.census.visitors) == (True, b"", 0)


@pytest.mark.parametrize("sent", [b"", PREFACE[:-1]])
def test_who_does_not_show_what_it_is_is_closed_in_time(sent: bytes) -> None:
    """One deadline for the whole peek: bytes that come one by one do not move it."""
    street = Street(peek=3)
    pipe = street.comes()
    street.clock.advance(2.9)
    if sent:
        pipe.send(sent)
    assert not pipe.lost
    street.clock.advance(0.1)
    assert (pipe.aborted, pipe.taken) == (True, b"")
    assert (street.door.census.visitors, street.door.peeks) == (0, set())


def test_what_is_known_in_time_has_time() -> None:
    """From then on the deadlines are those of its own protocol."""
    street = Street(peek=3)
    pipe = street.comes(b"G")
    street.clock.advance(60)
    assert not pipe.lost
    assert street.clock.getDelayedCalls() == []


def test_one_that_goes_before_it_is_known_leaves_nothing() -> None:
    """No place, no timer."""
    street = Street()
    street.comes(b"PR").finish()
    street.comes().break_off()
    assert (street.door.census.visitors, street.door.peeks, street.clock.getDelayedCalls()) == (0, set(), [])


def test_closing_the_door_ends_those_that_are_not_known() -> None:
    """And no others."""
    street = Street()
    unknown, known = street.comes(b"P"), street.comes(b"G")
    street.door.close()
    assert (unknown.lost, known.lost) == (True, False)


def test_a_peer_is_what_the_connection_tells() -> None:
    """Its address, an IPv4 one also out of an IPv6 socket; the scheme of a proxy in front that ends TLS."""
    street = Street("10.0.0.0/8", scheme="https")
    street.comes(b"G", host="::ffff:192.0.2.7")
    peer = street.guest.peer
    assert (peer.host, peer.port, peer.scheme, peer.tls, peer.trusted) == ("192.0.2.7", 4711, "https", False, False)
    assert peer.trusts("10.9.9.9")
    street.comes(b"G", host="10.1.1.1")
    assert street.guest.peer.trusted


def http(world: World) -> HTTPIngress:
    return world.ingress


def test_the_real_http_stands_behind_it() -> None:
    """Request and response pass, and the place is given back at the end."""
    world = World()
    street = Street()
    street.door._http = http(world)
    pipe = street.comes(*[bytes([byte]) for byte in get()])
    world.far.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert answers(pipe.taken)[0].status == 204
    assert street.door.census.visitors == 1
    pipe.finish()
    assert street.door.census.visitors == 0


def test_a_proxy_header_of_anybody_else_is_no_http() -> None:
    """It reaches the HTTP parser, which refuses it."""
    world = World()
    street = Street("10.0.0.0/8")
    street.door._http = http(world)
    for header in (b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n", proxied_v2("203.0.113.9")):
        pipe = street.comes(header + get())
        assert answers(pipe.taken)[0].status == 400
    assert world.app.upstreams == []


def test_a_clients_link_is_no_visitor() -> None:
    """Its place is free from the moment it is handed over."""
    world = World()
    street = Street(connections=1)
    street.door._http = http(world)
    link = street.comes(get("/connect", "relay.test", "Connection: Upgrade", "Upgrade: websocket"))
    assert len(world.links) == 1
    assert street.door.census.visitors == 0
    other = street.comes(get("/healthz", "relay.test"))
    assert answers(other.taken)[0].status == 200
    link.finish()
    assert street.door.census.visitors == 1
