"""The same ingress over real sockets on the loopback, in front of a real HTTP server: what memory cannot show."""

from __future__ import annotations

import hashlib
import http.client
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from egtunnel.ingress.http.ingress import HTTPIngress
from egtunnel.interfaces import IRoute, ITunnel, Visitor
from tests.ingress.http.world import Tunnels
from tests.pipes import Route

reactor: Any = _reactor
HOST = {"Host": "app.relay.test"}
MIB = 1024 * 1024


class Echo(Resource):
    """Answers with what it got."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return bytes(request.uri)

    def render_POST(self, request: Any) -> bytes:
        return bytes(request.content.read())


@implementer(ITunnel)
class Local:
    """A tunnel that is an ordinary TCP connection."""

    kind = "http"
    name = "app"
    host_header = ""
    scheme = "http"
    protocol = "http/1.1"
    policy = None
    sticky = ""
    dedicated = False
    guard: Any = None
    connections: int | None = None

    def __init__(self, port: int) -> None:
        self._port = port

    def dialer(self, visitor: Visitor) -> IRoute:
        return Route(TCP4ClientEndpoint(reactor, "127.0.0.1", self._port))


class SocketTests(TestCase):
    """Visitors are blocking clients in a thread."""

    timeout = 30

    def setUp(self) -> None:
        """An upstream and an ingress in front of it."""
        upstream = reactor.listenTCP(0, Site(Echo(), reactor=reactor), interface="127.0.0.1")
        tunnels = Tunnels()
        tunnels.names["app"] = Local(upstream.getHost().port)  # type: ignore[assignment]
        self.ingress = HTTPIngress(
            tunnels,
            domain="relay.test",
            scheme="http",
            port=80,
            link_path="/connect",
            link_factory=Factory.forProtocol(Protocol),
            clock=reactor,
        )
        port = reactor.listenTCP(0, self.ingress, interface="127.0.0.1")
        self.port = port.getHost().port
        self.addCleanup(upstream.stopListening)
        self.addCleanup(port.stopListening)
        self.addCleanup(self.ingress.close)

    def visit(self, work: Callable[[], None]) -> Deferred[Any]:
        """Do this in a thread; then wait until the ingress has let go of everything."""
        return deferToThread(work).addCallback(lambda _: self._let_go())

    def _let_go(self) -> Deferred[None]:
        """Fires when no connection is left: the reactor must be clean."""
        self.ingress.close()
        gone: Deferred[None] = Deferred()

        def look() -> None:
            if self.ingress.connections or self.ingress.site.pools:
                reactor.callLater(0.01, look)
            else:
                reactor.callLater(0.05, gone.callback, None)

        look()
        return gone

    def test_many_requests_on_one_connection(self) -> Deferred[Any]:
        """An ordinary HTTP client is content."""

        def work() -> None:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            for number in range(20):
                client.request("GET", f"/{number}", headers=HOST)
                response = client.getresponse()
                assert (response.status, response.read()) == (200, b"/%d" % number)
            client.close()

        return self.visit(work)

    def test_much_data_both_ways(self) -> Deferred[Any]:
        """8 MiB up, by length and by chunks, and down again: the same bytes."""
        data = hashlib.sha256(b"egtunnel").digest() * (8 * MIB // 32)

        def work() -> None:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            pieces = [data[start : start + 50_000] for start in range(0, len(data), 50_000)]
            for body, chunked in ((data, False), (iter(pieces), True)):
                client.request("POST", "/", body=body, headers=HOST, encode_chunked=chunked)
                response = client.getresponse()
                assert response.status == 200
                assert response.read() == data
            client.close()

        return self.visit(work)

    def test_a_refusal_is_seen_although_much_is_still_coming(self) -> Deferred[Any]:
        """No reset overtakes the answer."""

        def work() -> None:
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", self.port), timeout=10) as visitor:
                    visitor.sendall(b"GET /" + b"a" * MIB + b" HTTP/1.1\r\n")
                    answer = b""
                    while data := visitor.recv(65_536):
                        answer += data
                assert answer.startswith(b"HTTP/1.1 414 ")
                assert answer.endswith(b"</html>\n")

        return self.visit(work)

    def test_a_half_closed_visitor_gets_its_answer(self) -> Deferred[Any]:
        """A real FIN, and a real one back."""

        def work() -> None:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as visitor:
                visitor.sendall(b"GET /x HTTP/1.1\r\nHost: app.relay.test\r\n\r\n")
                visitor.shutdown(socket.SHUT_WR)
                answer = b""
                while data := visitor.recv(65_536):
                    answer += data
            assert answer.endswith(b"\r\n\r\n/x")

        return self.visit(work)
