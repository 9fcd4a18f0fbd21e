"""A front door with recording rooms behind it, and what passes by on the street."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from egtunnel.ingress.front.door import FrontDoor, FrontLimits
from egtunnel.ingress.front.networks import Networks, read_networks
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.peer import Peer
from tests.ingress.http.world import Pipe

__all__ = ["Guest", "Handshake", "Rooms", "Street", "Tls"]


class Guest(Protocol):
    """A connection that got through the door: who it is, in which protocol, what it sent."""

    def __init__(self, peer: Peer, protocol: bytes, on_left: Callable[[], None]) -> None:
        self.peer = peer
        self.protocol = protocol
        self.on_left = on_left
        self.received = b""
        self.lost = 0

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost += 1
        self.on_left()


class Rooms:
    """What stands behind the door instead of HTTP."""

    def __init__(self) -> None:
        self.limits = HTTPLimits()
        self.guests: list[Guest] = []

    def connection(self, peer: Peer, protocol: bytes = b"http/1.1", on_left: Any = None) -> Guest:
        self.guests.append(Guest(peer, protocol, on_left))
        return self.guests[-1]


class Handshake(Protocol):
    """A handshake that ends when the test says so."""

    def __init__(self, peer: Peer, build: Callable[[Peer, bytes], IProtocol]) -> None:
        self.peer = peer
        self.build = build
        self.received = b""
        self.inner: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def finish(self, protocol: bytes) -> None:
        """The handshake is over; ALPN chose this."""
        self.inner = self.build(attrs.evolve(self.peer, scheme="https", tls=True, tls_name="a.test"), protocol)
        self.inner.makeConnection(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.inner is not None:
            self.inner.connectionLost(reason)


class Tls:
    """TLS termination whose handshakes are the test's."""

    def __init__(self) -> None:
        self.full = False
        self.handshakes: list[Handshake] = []

    def begin(self, peer: Peer, build: Callable[[Peer, bytes], IProtocol]) -> Any:
        if self.full:
            return None
        self.handshakes.append(Handshake(peer, build))
        return self.handshakes[-1]


class Street:
    """A front door, with whom it trusts and its limits."""

    def __init__(self, *trusted: str, tls: Tls | None = None, scheme: str = "http", **limits: Any) -> None:
        self.clock = Clock()
        self.rooms = Rooms()
        self.links: list[Guest] = []
        self.door = FrontDoor(
            self.rooms,
            self.clock,
            terminator=tls,
            links=self.link,
            trusted=Networks(tuple(network for text in trusted for network in read_networks(text))),
            scheme=scheme,
            limits=FrontLimits(**limits),
        )

    def link(self, peer: Peer) -> Guest:
        """A client's bare link."""
        self.links.append(Guest(peer, b"egtunnel/1", lambda: None))
        return self.links[-1]

    def comes(self, *data: bytes, host: str = "192.0.2.7") -> Pipe:
        """A new connection from there, which sends this."""
        pipe = self.tries(*data, host=host)
        assert pipe is not None
        return pipe

    def tries(self, *data: bytes, host: str = "192.0.2.7") -> Pipe | None:
        """The same, of one that may find no one at the door."""
        kind = IPv6Address if ":" in host else IPv4Address
        peek = self.door.buildProtocol(kind("TCP", host, 4711))
        if peek is None:
            return None
        pipe = Pipe(peek)
        peek.makeConnection(pipe)
        for piece in data:
            if not pipe.lost:
                pipe.send(piece)
        return pipe

    @property
    def guest(self) -> Guest:
        """The newest one that got through."""
        return self.rooms.guests[-1]
