"""PROXY headers as a client writes them: what the parser of a front door, and the examples of haproxy, read in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport

from egtunnel.client.proxy_header import proxy_header
from egtunnel.client.targets import parse_target
from egtunnel.ingress.front.proxy_protocol import ProxyHeader, read_proxy_header
from egtunnel.interfaces import Visitor, plain_address

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
PORTS = st.integers(0, 65_535)


def visitor(host: str, port: int = 51_000) -> Visitor:
    return Visitor("tcp", host, port)


@given(st.sampled_from(["v1", "v2"]), ADDRESSES, PORTS, ADDRESSES, PORTS)
def test_whoever_reads_it_learns_the_visitor(version: str, source: Any, port: int, target: Any, to: int) -> None:
    """Whatever the families of the two ends are."""
    header = proxy_header(version, visitor(str(source), port), str(target), to)
    read = read_proxy_header(header + b"more", 2048)
    assert read == ProxyHeader(len(header), plain_address(str(source)), port)


@pytest.mark.parametrize(
    ("source", "target", "line"),
    [
        ("192.0.2.7", "127.0.0.1", b"PROXY TCP4 192.0.2.7 127.0.0.1 51000 80\r\n"),
        ("2001:db8::7", "::1", b"PROXY TCP6 2001:db8::7 ::1 51000 80\r\n"),
        ("2001:db8::7", "127.0.0.1", b"PROXY TCP6 2001:db8::7 ::ffff:7f00:1 51000 80\r\n"),
        ("192.0.2.7", "::1", b"PROXY TCP4 192.0.2.7 0.0.0.0 51000 80\r\n"),
        ("192.0.2.7", "/run/socket", b"PROXY TCP4 192.0.2.7 0.0.0.0 51000 80\r\n"),
        ("2001:db8::7", "", b"PROXY TCP6 2001:db8::7 :: 51000 80\r\n"),
        ("fe80::1%eth0", "::1", b"PROXY TCP6 fe80::1 ::1 51000 80\r\n"),
        ("", "127.0.0.1", b"PROXY UNKNOWN\r\n"),
        ("somebody", "127.0.0.1", b"PROXY UNKNOWN\r\n"),
    ],
)
def test_version_1_is_a_line(source: str, target: str, line: bytes) -> None:
    """Section 2.1."""
    assert proxy_header("v1", visitor(source), target, 80) == line


def test_version_2_is_binary() -> None:
    """Section 2.2: version and command, family, length, both addresses, both ports."""
    header = proxy_header("v2", visitor("192.0.2.7"), "127.0.0.1", 80)
    assert header.hex(" ") == "0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 21 11 00 0c c0 00 02 07 7f 00 00 01 c7 38 00 50"


def test_version_2_without_a_visitor_speaks_for_ourselves() -> None:
    """LOCAL: the receiver uses the real addresses of the connection."""
    assert proxy_header("v2", visitor("")).hex(" ") == "0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 20 00 00 00"


class Eager(Protocol):
    """Speaks as soon as it is connected."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(b"hello")


@pytest.mark.parametrize("text", ["192.0.2.1:80", "tcp:192.0.2.1:80", "unix:/run/app.sock"])
def test_the_header_comes_before_all_else(text: str) -> None:
    """Also before what the protocol says at once; each visitor gets his own."""
    reactor: Any = MemoryReactorClock()
    dialer = parse_target(text).dialer(reactor, announce="v1")
    for host in ("192.0.2.7", "192.0.2.8"):
        dialer(visitor(host)).connect(Factory.forProtocol(Eager))
        clients = reactor.unixClients if text.startswith("unix") else reactor.tcpClients
        factory, transport = clients[-1][1 if text.startswith("unix") else 2], StringTransport()
        factory.buildProtocol(None).makeConnection(transport)
        assert transport.value().startswith(f"PROXY TCP4 {host} ".encode())
        assert transport.value().endswith(b"\r\nhello")
