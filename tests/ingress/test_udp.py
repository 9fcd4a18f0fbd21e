"""Visitors of UDP tunnels: kept apart, forgotten when idle, as many as may be."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from egtunnel.datagrams import framed
from egtunnel.errors import ChannelClosed, ClientAway, Refused
from egtunnel.ingress.udp import UDPIngress, UDPLimits
from egtunnel.interfaces import ITunnel, Visitor
from tests.test_datagrams import Channel


class Reactor(Clock):
    """A clock that reads nothing by itself."""

    def addReader(self, reader: Any) -> None:
        """Nothing."""

    def removeReader(self, reader: Any) -> None:
        """Nothing."""


@implementer(ITunnel)
class Tunnel:
    """A UDP tunnel whose channels are the test's."""

    kind = "udp"
    host_header = sticky = ""
    scheme, protocol, policy, dedicated = "http", "http/1.1", None, False

    def __init__(self, port: int) -> None:
        self.name = str(port)
        self.guard: Any = None
        self.connections: int | None = None
        self.failure: Exception | None = None
        self.channels: list[Channel] = []
        self.visitors: list[Visitor] = []
        self.waiting: Deferred[Any] | None = None

    def dialer(self, visitor: Visitor) -> Any:
        self.visitors.append(visitor)
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.failure is not None:
            return fail(self.failure)
        if self.waiting is not None:
            return self.waiting
        protocol, channel = factory.buildProtocol(None), Channel()
        channel.protocol = protocol  # type: ignore[attr-defined]
        protocol.makeConnection(channel)
        self.channels.append(channel)
        return succeed(protocol)


class Harbour:
    """An ingress with one tunnel, and sockets of visitors."""

    def __init__(self, **limits: Any) -> None:
        self.reactor = Reactor()
        self.ingress = UDPIngress(self.reactor, "127.0.0.1", UDPLimits(**limits))
        self.tunnel: Any = Tunnel(free())
        self.ingress.claimed(self.tunnel)
        self.port = int(self.tunnel.name)
        self.visitors: list[socket.socket] = []

    def visitor(self) -> socket.socket:
        self.visitors.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.visitors[-1].bind(("127.0.0.1", 0))
        self.visitors[-1].settimeout(10)
        return self.visitors[-1]

    def says(self, visitor: socket.socket, *datagrams: bytes) -> None:
        for datagram in datagrams:
            visitor.sendto(datagram, ("127.0.0.1", self.port))
        self.ingress.ports[self.port].doRead()

    def close(self) -> None:
        self.ingress.stop_listening()
        for visitor in self.visitors:
            visitor.close()


def free() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def harbour() -> Any:
    """The usual limits."""
    made = Harbour()
    yield made
    made.close()


def test_each_visitor_has_a_channel_of_its_own(harbour: Harbour) -> None:
    """Answers go to whom they are for."""
    one, two = harbour.visitor(), harbour.visitor()
    harbour.says(one, b"a", b"b")
    harbour.says(two, b"c")
    harbour.says(one, b"d")
    first, second = harbour.tunnel.channels
    assert first.value() == framed([b"a", b"b", b"d"])
    assert second.value() == framed([b"c"])
    first.protocol.dataReceived(framed([b"for one"]))
    second.protocol.dataReceived(framed([b"for two"]))
    assert (one.recv(100), two.recv(100)) == (b"for one", b"for two")
    assert [(each.kind, each.host, each.port) for each in harbour.tunnel.visitors] == [
        ("udp", "127.0.0.1", visitor.getsockname()[1]) for visitor in (one, two)
    ]


def test_who_is_silent_is_forgotten() -> None:
    """Counted from the last datagram in either direction."""
    harbour = Harbour(idle=60.0)
    one, two = harbour.visitor(), harbour.visitor()
    harbour.says(one, b"a")
    harbour.says(two, b"a")
    for _ in range(4):
        harbour.reactor.advance(20)
        harbour.tunnel.channels[1].protocol.dataReceived(framed([b"still here"]))
    assert [channel.aborted for channel in harbour.tunnel.channels] == [True, False]
    assert harbour.ingress.visitors == 1
    harbour.says(one, b"again")
    assert harbour.tunnel.channels[2].value() == framed([b"again"])
    harbour.close()


def test_made_up_addresses_do_not_keep_others_out() -> None:
    """At the limit one makes room who never had an answer; where all had one, nobody else comes in."""
    harbour = Harbour(flows=2)
    known, *strangers = [harbour.visitor() for _ in range(5)]
    harbour.says(known, b"a")
    harbour.tunnel.channels[0].protocol.dataReceived(framed([b"answer"]))
    for stranger in strangers:
        harbour.says(stranger, b"a")
    assert [channel.aborted for channel in harbour.tunnel.channels] == [False, True, True, True, False]
    assert harbour.ingress.visitors == 2
    harbour.tunnel.channels[4].protocol.dataReceived(framed([b"answer"]))
    harbour.says(strangers[0], b"a")
    assert len(harbour.tunnel.channels) == 5
    harbour.close()


def test_the_limit_of_all_ports_and_that_of_the_tunnel() -> None:
    """Whichever is less."""
    for limits, connections in (({"in_all": 1}, None), ({}, 1)):
        harbour = Harbour(**limits)
        harbour.tunnel.connections = connections
        for _ in range(2):
            harbour.says(harbour.visitor(), b"a")
            harbour.tunnel.channels[0].protocol.dataReceived(framed([b"answer"]))
        assert len(harbour.tunnel.channels) == 1
        harbour.close()


def test_who_waits_for_a_client_loses_nothing(harbour: Harbour) -> None:
    """But what finds no room."""
    waiting: Deferred[Any] = Deferred()
    harbour.tunnel.waiting = waiting
    visitor = harbour.visitor()
    harbour.says(visitor, b"a", b"b")
    assert harbour.ingress.queues.held > 0
    waiting.errback(ClientAway())
    assert harbour.ingress.queues.held == 0


def test_who_could_not_be_served_is_tried_again_a_moment_later(harbour: Harbour) -> None:
    """Not for each datagram."""
    visitor = harbour.visitor()
    harbour.says(visitor, b"a")
    harbour.tunnel.channels[0].protocol.connectionLost(failure(ChannelClosed()))
    harbour.says(visitor, b"b", b"c")
    assert (len(harbour.tunnel.channels), harbour.ingress.queues.dropped) == (1, 2)
    harbour.reactor.advance(1.1)
    harbour.says(visitor, b"d")
    assert harbour.tunnel.channels[1].value() == framed([b"d"])
    harbour.tunnel.failure = ClientAway()
    harbour.tunnel.channels[1].protocol.connectionLost(failure(ChannelClosed()))
    harbour.reactor.advance(1.1)
    harbour.says(visitor, b"e")
    harbour.says(visitor, b"f")
    assert len(harbour.tunnel.visitors) == 3


def failure(error: Exception) -> Any:
    from twisted.python.failure import Failure

    return Failure(error)


def test_rules_are_asked_once_for_each_visitor(harbour: Harbour) -> None:
    """Who may not come in has no channel."""

    class Nobody:
        def admits(self, visitor: Visitor) -> bool:
            return False

    harbour.tunnel.guard = Nobody()
    harbour.says(harbour.visitor(), b"a")
    assert (harbour.tunnel.channels, harbour.ingress.visitors) == ([], 0)


def test_a_port_that_is_taken(harbour: Harbour) -> None:
    """Is refused, and worth another try; a port that was given back is free."""
    another = UDPIngress(harbour.reactor, "127.0.0.1")
    with pytest.raises(Refused) as caught:
        another.claimed(harbour.tunnel)
    assert (caught.value.reason, caught.value.retry) == ("port-unavailable", True)
    harbour.ingress.released(harbour.tunnel)
    another.claimed(harbour.tunnel)
    another.stop_listening()
