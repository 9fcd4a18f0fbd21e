"""Dials of local services: in time, in turn, and with words for what went wrong."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectionDone,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TimeoutError,
)
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.client.targets import parse_target
from egtunnel.client.upstream import InTurn, Upstream, UpstreamLimits, host_endpoint, reach, why
from egtunnel.errors import EgtunnelError, Refused, UpstreamRefused, UpstreamSlow
from egtunnel.interfaces import Visitor
from egtunnel.session.websocket import LinkLimits, link_client_factory
from egtunnel.splice import Half, serve

FACTORY: Any = Factory.forProtocol(Protocol)


class Transport(StringTransport):
    """Remembers how it was tuned."""

    def __init__(self) -> None:
        super().__init__()
        self.no_delay = self.keep_alive = self.aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.keep_alive = enabled

    def abortConnection(self) -> None:
        self.aborted = True


@implementer(IStreamClientEndpoint)
class Slow:
    """An endpoint whose connection comes when the test says so; ``deaf``: it ignores being cancelled."""

    def __init__(self, deaf: bool = False) -> None:
        self.cancelled = 0
        self.deaf = deaf
        self.dialing: Deferred[Any] = Deferred()

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        def cancel(_: Deferred[Any]) -> None:
            self.cancelled += 1

        def cancelled(reason: Failure) -> Any:
            reason.trap(CancelledError)
            return self.late if self.deaf else reason

        self.late: Deferred[Any] = Deferred()
        self.dialing = Deferred(cancel)
        return self.dialing.addErrback(cancelled)


def connected_protocol() -> Any:
    protocol = Protocol()
    protocol.makeConnection(Transport())
    return protocol


def fate(dialed: Deferred[Any]) -> list[Any]:
    """What became of the dial, once it has an end."""
    end: list[Any] = []
    dialed.addCallbacks(end.append, lambda reason: end.append(reason.value))
    return end


def test_a_connection_in_time_is_handed_over_and_tuned() -> None:
    """Small writes leave at once, the kernel watches for a vanished peer, and no timer stays."""
    clock, slow = Clock(), Slow()
    end = fate(Upstream(slow, clock, UpstreamLimits()).connect(FACTORY))
    protocol = connected_protocol()
    slow.dialing.callback(protocol)
    assert end == [protocol]
    assert protocol.transport.no_delay and protocol.transport.keep_alive
    assert clock.getDelayedCalls() == []


def test_connections_leave_no_lines_in_the_log() -> None:
    """Twisted's factories announce their start and stop; thousands of visitors would."""
    reactor: Any = MemoryReactorClock()
    link = link_client_factory("ws://192.0.2.1/", lambda _: None, lambda *_: None, LinkLimits(), reactor)
    visitor, guest = Visitor("tcp", "192.0.2.7", 50000), Half()
    guest.makeConnection(StringTransport())
    with capturedLogs() as events:
        for target in ("192.0.2.1:80", "https://192.0.2.1", "unix:/nowhere"):
            dialer = parse_target(target).dialer(reactor)
            serve(guest, visitor, dialer).addErrback(lambda _: None)
            fate(dialer(visitor).connect(link))
        wrappings = [client[2] for client in reactor.tcpClients] + [client[1] for client in reactor.unixClients]
        assert len(wrappings) == 6
        for wrapping in wrappings:
            wrapping.doStart()
            wrapping.doStop()
    assert events == []


def test_a_dial_ends_after_its_time() -> None:
    """After ten seconds: upstream-slow; the endpoint is told to stop."""
    clock, slow = Clock(), Slow()
    end = fate(Upstream(slow, clock, UpstreamLimits()).connect(FACTORY))
    clock.advance(9.9)
    assert end == []
    clock.advance(0.2)
    assert isinstance(end[0], UpstreamSlow)
    assert end[0].text == "no connection within 10 seconds"
    assert slow.cancelled == 1


def test_a_visitor_that_leaves_ends_the_dial() -> None:
    """Cancelling is seen as such, and leaves no timer."""
    clock, slow = Clock(), Slow()
    dialed = Upstream(slow, clock, UpstreamLimits()).connect(FACTORY)
    end = fate(dialed)
    dialed.cancel()
    assert isinstance(end[0], CancelledError)
    assert slow.cancelled == 1
    assert clock.getDelayedCalls() == []


def test_a_connection_that_comes_too_late_is_dropped() -> None:
    """An endpoint that could not stop leaves nothing open."""
    clock, slow = Clock(), Slow(deaf=True)
    end = fate(Upstream(slow, clock, UpstreamLimits(dial=1.0)).connect(FACTORY))
    clock.advance(1.0)
    assert isinstance(end[0], UpstreamSlow)
    protocol = connected_protocol()
    slow.late.callback(protocol)
    assert len(end) == 1
    assert protocol.transport.aborted


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (ConnectionRefusedError(), UpstreamRefused, "connection refused"),
        (NoRouteError(errno.EHOSTUNREACH, "x"), UpstreamRefused, "no route to host"),
        (ConnectBindError(errno.EMFILE, "x"), UpstreamRefused, "too many open files"),
        (DNSLookupError("host db.internal"), UpstreamRefused, "the host name was not found"),
        (TimeoutError(), UpstreamSlow, "the connection timed out"),
        (ConnectionDone(), UpstreamRefused, "connection closed during the TLS handshake"),
        (
            SSL.Error([("SSL routines", "", "certificate verify failed")]),
            UpstreamRefused,
            "TLS: certificate verify failed",
        ),
        (SSL.Error(-1, "Unexpected EOF"), UpstreamRefused, "TLS: (-1, 'Unexpected EOF')"),
        (SSL.Error(), UpstreamRefused, "TLS: handshake failed"),
        (ValueError(), UpstreamRefused, "ValueError"),
        (Refused("over", "too many"), Refused, "too many"),
    ],
)
def test_the_reason_is_in_words(value: Exception, kind: type[EgtunnelError], text: str) -> None:
    """Each failure has a sentence, without the address, which is nobody's business on the far side."""
    error = why(Failure(value))
    assert type(error) is kind
    assert error.text == text


def test_localhost_is_tried_on_both_its_addresses() -> None:
    """A server that listens on ::1 only is found; the second refusal is the answer."""
    reactor: Any = MemoryReactorClock()
    end = fate(Upstream(reach(reactor, "localhost", 8080), reactor, UpstreamLimits()).connect(FACTORY))
    for turn, host in enumerate(("127.0.0.1", "::1")):
        assert len(reactor.tcpClients) == turn + 1
        assert reactor.tcpClients[turn][:2] == (host, 8080)
        reactor.tcpClients[turn][2].clientConnectionFailed(reactor.connectors[turn], Failure(ConnectionRefusedError()))
    assert isinstance(end[0], UpstreamRefused)


def test_the_second_address_is_not_tried_once_the_visitor_left() -> None:
    """A cancelled dial stays cancelled."""
    reactor: Any = MemoryReactorClock()
    dialed = Upstream(reach(reactor, "localhost", 8080), reactor, UpstreamLimits()).connect(FACTORY)
    end = fate(dialed)
    dialed.cancel()
    assert isinstance(end[0], CancelledError)
    assert len(reactor.tcpClients) == 1


def test_another_failure_than_of_the_connection_ends_the_turn() -> None:
    """Only what another address could cure goes on to it."""
    first, second = Slow(), Slow()
    end = fate(InTurn([first, second]).connect(FACTORY))
    first.dialing.errback(ValueError("defect"))
    assert isinstance(end[0], ValueError)
    assert not second.dialing.called


def test_a_name_is_resolved_and_an_address_is_not() -> None:
    """A resolver costs a thread for each connection."""
    reactor: Any = MemoryReactorClock()
    host_endpoint(reactor, "192.0.2.1", 80).connect(FACTORY)
    host_endpoint(reactor, "2001:db8::1", 80).connect(FACTORY)
    assert [client[0] for client in reactor.tcpClients] == ["192.0.2.1", "2001:db8::1"]
    assert "HostnameEndpoint" in repr(host_endpoint(reactor, "example.com", 80))
