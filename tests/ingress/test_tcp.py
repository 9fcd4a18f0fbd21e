"""Public TCP ports, over real sockets of loopback: the far end of a tunnel is a plain TCP server here."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from egtunnel.errors import ClientAway, Refused
from egtunnel.guard import Denial
from egtunnel.ingress.tcp import TCPIngress, TCPLimits
from egtunnel.interfaces import IRoute, ITunnel, Visitor, plain_address
from tests.guards import Decided
from tests.pipes import Route

reactor: Any = global_reactor


@implementer(IHalfCloseableProtocol)
class Talker(Protocol):
    """One end of a conversation: remembers what it hears."""

    def __init__(self) -> None:
        self.received = b""
        self.read_ended = False
        self.write_ended = False
        self.lost: Failure | None = None
        self.transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.read_ended = True
        self._end_if_over()

    def writeConnectionLost(self) -> None:
        self.write_ended = True
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self.read_ended and self.write_ended:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


@implementer(ITunnel)
class PortTunnel:
    """A tunnel whose upstream is a server of this test."""

    kind = "tcp"
    host_header = ""
    scheme = protocol = ""
    policy = None
    sticky = ""
    dedicated = False
    guard: Any = None
    connections: int | None = None

    def __init__(self, name: str, endpoint: IStreamClientEndpoint) -> None:
        self.name = name
        self.endpoint = endpoint
        self.visitors: list[Visitor] = []

    def dialer(self, visitor: Visitor) -> IRoute:
        self.visitors.append(visitor)
        return Route(self.endpoint)


@implementer(IStreamClientEndpoint)
class Nowhere:
    """An endpoint that fails, or never answers."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.cancelled = 0

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        if self.error is not None:
            return fail(self.error)
        return Deferred(lambda _: self._cancel())

    def _cancel(self) -> None:
        self.cancelled += 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


Steps = Generator[Deferred[Any], Any, None]


class TCPIngressTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.near: list[Talker] = []
        self.far: list[Talker] = []
        self.addCleanup(lambda: self.until(lambda: all(talker.lost for talker in self.near + self.far)))
        self.addCleanup(lambda: [talker.transport.abortConnection() for talker in self.near + self.far])
        self.server = reactor.listenTCP(0, Factory.forProtocol(self._answer), interface="127.0.0.1")
        self.addCleanup(self.server.stopListening)
        self.ingress = TCPIngress(reactor, "127.0.0.1", TCPLimits(connections=3, in_all=4))
        self.ingress.startService()
        self.addCleanup(self.ingress.stopService)
        upstream = TCP4ClientEndpoint(reactor, "127.0.0.1", self.server.getHost().port)
        self.tunnel = PortTunnel(str(free_port()), upstream)
        self.ingress.claimed(self.tunnel)

    def _answer(self) -> Talker:
        self.far.append(Talker())
        return self.far[-1]

    def visit(self, tunnel: PortTunnel | None = None) -> Deferred[Any]:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", int((tunnel or self.tunnel).name))
        visiting: Deferred[Any] = endpoint.connect(Factory.forProtocol(self._ask))
        return visiting

    def _ask(self) -> Talker:
        self.near.append(Talker())
        return self.near[-1]

    @inlineCallbacks
    def until(self, what: Callable[[], bool]) -> Steps:
        while not what():
            yield deferLater(reactor, 0.005)

    @inlineCallbacks
    def test_bytes_go_both_ways(self) -> Steps:
        """A megabyte each way arrives whole; the visitor's address is known."""
        near = yield self.visit()
        yield self.until(lambda: len(self.far) == 1)
        (far,) = self.far
        near.transport.write(b"u" * 1_000_000)
        far.transport.write(b"d" * 1_000_000)
        yield self.until(lambda: len(far.received) == len(near.received) == 1_000_000)
        self.assertEqual((far.received, near.received), (b"u" * 1_000_000, b"d" * 1_000_000))
        host = near.transport.getHost()
        self.assertEqual(self.tunnel.visitors, [Visitor("tcp", host.host, host.port, self.tunnel.name)])

    @inlineCallbacks
    def test_half_close_goes_through_both_ways(self) -> Steps:
        """One direction may end while the other goes on, whoever ends first."""
        for visitor_first in (True, False):
            self.far.clear()
            near = yield self.visit()
            yield self.until(lambda: len(self.far) == 1)
            first, second = (near, self.far[0]) if visitor_first else (self.far[0], near)
            first.transport.write(b"all I have")
            first.transport.loseWriteConnection()
            yield self.until(lambda second=second: second.read_ended)  # type: ignore[misc]
            self.assertEqual(second.received, b"all I have")
            second.transport.write(b"and an answer after it")
            second.transport.loseWriteConnection()
            yield self.until(lambda first=first: first.read_ended)  # type: ignore[misc]
            self.assertEqual(first.received, b"and an answer after it")
            self.assertIsNone(second.lost and second.lost.check(ConnectionLost))
        yield self.until(lambda: self.ingress.connections == 0)

    @inlineCallbacks
    def test_a_broken_upstream_breaks_the_visitor(self) -> Steps:
        """A reset is not an orderly end: it must not look like one to the visitor."""
        near = yield self.visit()
        yield self.until(lambda: len(self.far) == 1)
        self.far[0].transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.far[0].transport.abortConnection()
        yield self.until(lambda: near.lost is not None)
        self.assertTrue(near.lost.check(ConnectionLost), near.lost)

    @inlineCallbacks
    def test_too_many_visitors_of_one_port_are_closed_at_once(self) -> Steps:
        """Those that are there go on; a place that becomes free can be taken."""
        for _ in range(3):
            yield self.visit()
        guests = list(self.near)
        yield self.until(lambda: len(self.far) == 3)
        late = yield self.visit()
        yield self.until(lambda: late.lost is not None or late.read_ended)
        self.assertEqual((len(self.far), self.ingress.connections), (3, 3))
        self.assertEqual([guest.lost for guest in guests], [None] * 3)
        guests[0].transport.abortConnection()
        yield self.until(lambda: self.ingress.connections == 2)
        yield self.visit()
        yield self.until(lambda: len(self.far) == 4)

    @inlineCallbacks
    def test_all_ports_together_have_a_limit(self) -> Steps:
        """Four in all, whichever port they came to."""
        other = PortTunnel(str(free_port()), self.tunnel.endpoint)
        self.ingress.claimed(other)
        for tunnel in (self.tunnel, self.tunnel, other, other):
            yield self.visit(tunnel)
        yield self.until(lambda: len(self.far) == 4)
        late = yield self.visit(other)
        yield self.until(lambda: late.lost is not None or late.read_ended)
        self.assertEqual(self.ingress.connections, 4)

    @inlineCallbacks
    def test_a_visitor_of_a_client_that_is_away_is_closed(self) -> Steps:
        """When the dial has failed for good."""
        away = PortTunnel(str(free_port()), Nowhere(ClientAway()))
        self.ingress.claimed(away)
        near = yield self.visit(away)
        yield self.until(lambda: near.lost is not None)
        self.assertEqual(self.ingress.connections, 0)

    @inlineCallbacks
    def test_a_visitor_who_leaves_while_waiting_ends_the_wait(self) -> Steps:
        """Nobody is dialled for a visitor who has gone; what was sent meanwhile was not read into memory."""
        nowhere = Nowhere(None)
        waiting = PortTunnel(str(free_port()), nowhere)
        self.ingress.claimed(waiting)
        near = yield self.visit(waiting)
        near.transport.write(b"x")
        yield self.until(lambda: self.ingress.connections == 1)
        self.ingress.released(waiting)
        self.assertEqual(nowhere.cancelled, 0)
        yield self.ingress.stopService()
        near.transport.abortConnection()

    def test_a_port_in_use_is_refused_for_now(self) -> None:
        """Another program has it: the client may try again."""
        taken = PortTunnel(str(self.server.getHost().port), self.tunnel.endpoint)
        refused = self.assertRaises(Refused, self.ingress.claimed, taken)
        self.assertEqual((refused.reason, refused.retry, refused.after), ("port-unavailable", True, 30.0))
        self.ingress.released(taken)

    @inlineCallbacks
    def test_who_may_not_come_in_is_closed_at_once(self) -> Steps:
        """Nobody is dialed; who comes after the rules have changed is let in."""
        guard = self.tunnel.guard = Decided(Denial(403, "denied", "No."))
        near = yield self.visit()
        yield self.until(lambda: near.read_ended or near.lost is not None)
        self.assertEqual((self.tunnel.visitors, self.ingress.connections), ([], 0))
        self.assertEqual(guard.visitors[0].host, "127.0.0.1")
        guard.verdict = None
        yield self.visit()
        yield self.until(lambda: len(self.far) == 1)

    @inlineCallbacks
    def test_a_released_port_listens_no_more_and_can_be_claimed_again(self) -> Steps:
        """Visitors that are there go on."""
        near = yield self.visit()
        yield self.until(lambda: len(self.far) == 1)
        self.ingress.released(self.tunnel)
        yield deferLater(reactor, 0)
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", int(self.tunnel.name))), 0)
        near.transport.write(b"still here")
        yield self.until(lambda: self.far[0].received == b"still here")
        self.ingress.claimed(self.tunnel)
        yield self.visit()
        yield self.until(lambda: len(self.far) == 2)

    @inlineCallbacks
    def test_stopping_ends_ports_and_connections(self) -> Steps:
        """Nothing is left behind."""
        near = yield self.visit()
        yield self.until(lambda: len(self.far) == 1)
        yield self.ingress.stopService()
        yield self.until(lambda: near.lost is not None and self.ingress.connections == 0)
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", int(self.tunnel.name))), 0)

    def test_http_tunnels_are_none_of_its_business(self) -> None:
        """It listens for TCP tunnels only."""
        tunnel = PortTunnel("app", Nowhere(None))
        tunnel.kind = "http"
        self.ingress.claimed(tunnel)
        self.ingress.released(tunnel)


class AddressTests(SynchronousTestCase):
    def test_ipv4_through_an_ipv6_socket_is_shown_as_what_it_is(self) -> None:
        """The upstream and the log see the address the visitor has."""
        for host, plain in (("::ffff:203.0.113.7", "203.0.113.7"), ("203.0.113.7", "203.0.113.7"), ("::1", "::1"),
                            ("fe80::1%eth0", "fe80::1%eth0"), ("2001:db8::ffff:1", "2001:db8::ffff:1")):  # fmt: skip
            self.assertEqual(plain_address(host), plain)
