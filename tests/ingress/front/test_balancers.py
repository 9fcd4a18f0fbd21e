"""Connections of balancers that are trusted, and whom they speak for."""

from __future__ import annotations

import pytest
from twisted.logger import capturedLogs

from egtunnel.ingress.front.door import PREFACE
from tests.ingress.front.headers import proxied_v1, proxied_v2, v2
from tests.ingress.front.street import Street, Tls

BALANCER = "10.0.0.1"


def street(tls: Tls | None = None) -> Street:
    return Street("10.0.0.0/8", tls=tls)


@pytest.mark.parametrize("header", [proxied_v1("203.0.113.9"), proxied_v2("203.0.113.9"), proxied_v2("2001:db8::9")])
@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n", PREFACE, b"\x16\x03"])
def test_the_visitor_is_whom_the_header_names(header: bytes, text: bytes) -> None:
    """Both versions are told apart by themselves, in one piece or byte by byte, whatever follows."""
    for pieces in ((header + text,), (header, text), [bytes([byte]) for byte in header + text]):
        tls = Tls()
        here = street(tls)
        here.comes(*pieces, host=BALANCER)
        peer = tls.handshakes[-1].peer if tls.handshakes else here.guest.peer
        received = tls.handshakes[-1].received if tls.handshakes else here.guest.received
        assert (peer.host, peer.port) in {("203.0.113.9", 51_000), ("2001:db8::9", 51_000)}
        assert received == text
        assert not peer.trusted, "the visitor is not the balancer"


@pytest.mark.parametrize("header", [b"", b"PROXY UNKNOWN\r\n", v2(0x20, 0x00, b""), v2(0x21, 0x31, bytes(216))])
def test_a_balancer_that_names_nobody_speaks_for_itself(header: bytes) -> None:
    """Its own address is the visitor's then, and it is trusted: what it says in HTTP headers is believed."""
    here = street()
    here.comes(header + b"GET", host=BALANCER)
    assert (here.guest.peer.host, here.guest.peer.trusted, here.guest.received) == (BALANCER, True, b"GET")


def test_a_health_check_that_sends_nothing_more_leaves_nothing() -> None:
    """haproxy connects, says LOCAL and goes."""
    here = street()
    here.comes(v2(0x20, 0x00, b""), host=BALANCER).finish()
    assert (here.door.census.visitors, here.rooms.guests, here.clock.getDelayedCalls()) == (0, [], [])


def test_one_header_is_all() -> None:
    """A second one would be the visitor's own words: it reaches the HTTP parser."""
    here = street()
    forged = proxied_v1("198.51.100.1")
    here.comes(proxied_v2("203.0.113.9") + forged, host=BALANCER)
    assert (here.guest.peer.host, here.guest.received) == ("203.0.113.9", forged)


def test_nobody_else_is_asked_for_a_header() -> None:
    """From any other address it is what the visitor sends."""
    for header in (proxied_v1("203.0.113.9"), proxied_v2("203.0.113.9")):
        here = street()
        here.comes(header, host="192.0.2.7")
        assert (here.guest.peer.host, here.guest.received) == ("192.0.2.7", header)


def test_a_named_visitor_within_the_trusted_networks_is_trusted() -> None:
    """Two balancers one behind the other."""
    here = street()
    here.comes(proxied_v2("10.0.0.2") + b"G", host=BALANCER)
    assert (here.guest.peer.host, here.guest.peer.trusted) == ("10.0.0.2", True)


def test_a_malformed_header_ends_the_connection_and_is_logged() -> None:
    """With the balancer's address, so that somebody looks."""
    with capturedLogs() as events:
        here = street()
        pipe = here.comes(b"PROXY TCP4 not an address\r\n", host=BALANCER)
    assert (pipe.aborted, pipe.taken, here.rooms.guests, here.door.census.visitors) == (True, b"", [], 0)
    (event,) = events
    assert event["host"] == BALANCER
    assert "TCP4" in event["reason"]


def test_a_header_has_to_come_in_time_and_is_not_longer_than_its_limit() -> None:
    """A balancer may be broken as well."""
    here = Street("10.0.0.0/8", peek=3, proxy_header=64)
    slow = here.comes(proxied_v2("203.0.113.9")[:-1], host=BALANCER)
    here.clock.advance(3)
    assert slow.aborted
    assert here.comes(v2(0x21, 0x00, bytes(65))[:16], host=BALANCER).aborted
    assert not here.comes(v2(0x21, 0x00, bytes(64)), host=BALANCER).aborted
