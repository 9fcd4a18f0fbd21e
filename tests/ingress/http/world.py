"""A relay's HTTP ingress without a network: visitors and upstreams are objects that a test speaks through."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.ingress.http.ingress import HTTPIngress, HTTPLimits, SiteSettings
from egtunnel.ingress.peer import Peer
from egtunnel.interfaces import IRoute, IServer, ITunnel, ITunnels, Visitor
from egtunnel.policy import HeaderPolicy

__all__ = ["Answer", "Far", "Pipe", "Recorder", "Tunnel", "World", "answers", "get"]

HIGH_WATER = 65_536


class Pipe:
    """A transport in memory that behaves as Twisted's: a full buffer pauses the producer, nothing comes while paused.

    ``taken`` is what the other end has read; while ``stuck`` it reads nothing.
    """

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.taken = b""
        self.stuck = False
        self.reading = True
        self.write_ended = self.lost = self.aborted = False
        self.producer: Any = None
        self._buffer = b""
        self._waiting: list[bytes] = []
        self._fin = False
        self._producer_paused = self._ending = self._half_ending = False
        self.disconnecting = False

    # -- for a protocol

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.lost or self._ending or self.write_ended or self._half_ending:
            return
        self._buffer += data
        if self.producer is not None and not self._producer_paused and len(self._buffer) > HIGH_WATER:
            self._producer_paused = True
            self.producer.pauseProducing()
        self.flush()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None and streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None
        self._producer_paused = False
        self.flush()

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True
        self.deliver()

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        self._ending = self.disconnecting = True
        self.flush()

    def loseWriteConnection(self) -> None:
        self._half_ending = True
        self.flush()

    def abortConnection(self) -> None:
        self.aborted = True
        self.end(Failure(ConnectionAborted()))

    def setTcpNoDelay(self, on: bool) -> None:
        self.no_delay = on

    def setTcpKeepAlive(self, on: bool) -> None:
        self.keep_alive = on

    # -- for a test

    def flush(self) -> None:
        """Let the other end read all, unless it is stuck."""
        if self.stuck or self.lost:
            return
        self.taken += self._buffer
        self._buffer = b""
        if self._producer_paused and self.producer is not None:
            self._producer_paused = False
            self.producer.resumeProducing()
        elif self._ending and self.producer is None and not self._buffer:
            self.end(Failure(ConnectionDone()))
        elif self._half_ending and not self.write_ended:
            self.write_ended = True

    def send(self, data: bytes) -> None:
        """The other end sends."""
        self._waiting.append(data)
        self.deliver()

    def finish(self) -> None:
        """The other end sends no more."""
        self._fin = True
        self.deliver()

    def deliver(self) -> None:
        while self._waiting and self.reading and not self.lost and not self._ending:
            self.protocol.dataReceived(self._waiting.pop(0))
        if self._fin and not self._waiting and self.reading and not self.lost:
            self._fin = False
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.protocol.readConnectionLost()
            else:
                self.end(Failure(ConnectionDone()))

    def end(self, reason: Failure) -> None:
        """The connection is over."""
        if not self.lost:
            self.lost = True
            self.producer = None
            self.protocol.connectionLost(reason)

    def break_off(self, error: Exception | None = None) -> None:
        """The other end breaks the connection."""
        self.end(Failure(error or ConnectionLost()))

    def unsent(self) -> int:
        """Bytes that the protocol wrote and nobody has read."""
        return len(self._buffer)

    def take(self) -> bytes:
        """What came since the last time."""
        data, self.taken = self.taken, b""
        return data


Far = Pipe
"""The upstream's view of a connection from the relay."""


@implementer(IRoute)
class Endpoint:
    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self.server = tunnel.server

    @property
    def elsewhere(self) -> bool:
        return self._tunnel.elsewhere

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        tunnel = self._tunnel
        tunnel.dials += 1
        if tunnel.failure is not None:
            return fail(tunnel.failure)

        def connected(_: object) -> Any:
            protocol = protocolFactory.buildProtocol(None)
            pipe = Pipe(protocol)
            pipe.stuck = tunnel.stuck
            tunnel.upstreams.append(pipe)
            protocol.makeConnection(pipe)
            return protocol

        if tunnel.held:
            tunnel.waiting = Deferred(tunnel.cancelled.append)
            return tunnel.waiting.addCallback(connected)
        return succeed(None).addCallback(connected)


@implementer(ITunnel)
class Tunnel:
    """A tunnel whose upstream is the test."""

    kind = "http"
    scheme = "http"
    protocol = "http/1.1"

    def __init__(self, name: str) -> None:
        self.name = name
        self.policy: HeaderPolicy | None = None
        self.host_header = ""
        self.sticky = ""
        self.dedicated = False
        self.guard: Any = None
        self.connections: int | None = None
        self.server: IServer | None = None
        self.elsewhere = False
        self.upstreams: list[Pipe] = []
        self.visitors: list[Visitor] = []
        self.dials = 0
        self.failure: Exception | None = None
        self.denial: Exception | None = None
        self.held = self.stuck = False
        self.waiting: Deferred[Any] = Deferred()
        self.cancelled: list[Any] = []

    def dialer(self, visitor: Visitor) -> IRoute:
        self.visitors.append(visitor)
        if self.denial is not None:
            raise self.denial
        return Endpoint(self)


@implementer(ITunnels)
class Tunnels:
    def __init__(self) -> None:
        self.names: dict[str, Tunnel] = {}
        self.hosts: dict[str, Tunnel] = {}
        self.tls: dict[str, Tunnel] = {}

    def by_name(self, name: str) -> ITunnel | None:
        return self.names.get(name)

    def by_tls(self, host: str) -> ITunnel | None:
        return self.tls.get(host)

    def by_host(self, host: str) -> ITunnel | None:
        return self.hosts.get(host)


class Recorder(Protocol):
    """What a connection was handed over to; not able to half-close."""

    def __init__(self) -> None:
        self.received = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.reason = reason


class World:
    """An ingress for ``relay.test`` with the tunnel ``app`` and the custom host ``www.custom.test``."""

    def __init__(
        self, scheme: str = "http", port: int = 80, settings: SiteSettings | None = None, **limits: Any
    ) -> None:
        self.clock = Clock()
        self.tunnels = Tunnels()
        self.app = self.tunnels.names["app"] = Tunnel("app")
        self.custom = self.tunnels.hosts["www.custom.test"] = Tunnel("www.custom.test")
        self.links: list[Recorder] = []
        self.limits = HTTPLimits(**limits)
        self.ingress = HTTPIngress(
            self.tunnels,
            domain="relay.test",
            scheme=scheme,
            port=port,
            link_path="/connect",
            link_factory=Factory.forProtocol(self._link),
            clock=self.clock,
            limits=self.limits,
            settings=settings,
        )

    def _link(self) -> Recorder:
        self.links.append(Recorder())
        return self.links[-1]

    def visitor(self, data: bytes = b"", host: str = "192.0.2.7", peer: Peer | None = None) -> Pipe:
        """A new visitor, who has sent ``data``; ``peer``: one of whom more is known than an address."""
        address = IPv4Address("TCP", host, 4711)
        protocol: Any = self.ingress.buildProtocol(address) if peer is None else self.ingress.connection(peer)
        pipe = Pipe(protocol)
        protocol.makeConnection(pipe)
        if data:
            pipe.send(data)
        return pipe

    @property
    def far(self) -> Pipe:
        """The newest connection at the upstream of ``app``."""
        return self.app.upstreams[-1]

    def ask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """What an upstream gets of a request, and the visitor of its response."""
        visitor = self.visitor(request)
        seen = self.far.take()
        self.far.send(response)
        return seen, visitor.take()

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time go by in steps, as it does."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)


def get(target: str = "/", host: str = "app.relay.test", *headers: str, version: str = "1.1") -> bytes:
    """A GET request."""
    lines = [f"GET {target} HTTP/{version}", f"Host: {host}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


@attrs.frozen
class Answer:
    """A response as a strict reader sees it; ``complete`` if its end was there."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True
    trailers: str = ""

    @property
    def word(self) -> str:
        return self.headers.get("x-egtunnel-error", "")


def answers(data: bytes, *, heads: Callable[[int], bool] = lambda index: False) -> list[Answer]:
    """All responses in ``data``; ``heads`` says of each final one whether it answers a HEAD."""
    found: list[Answer] = []
    final = 0
    while data:
        head, separator, data = data.partition(b"\r\n\r\n")
        assert separator, f"an unfinished head: {head!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) (.*)", first)
        assert match, first
        status = int(match[1])
        pairs = [line.partition(": ")[::2] for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs) or "set-cookie" in headers, pairs
        if status < 200 or status in (204, 304) or heads(final):
            found.append(Answer(status, headers, b""))
        elif headers.get("transfer-encoding") == "chunked":
            answer, data = chunked(status, headers, data)
            found.append(answer)
        elif "content-length" in headers:
            size = int(headers["content-length"])
            found.append(Answer(status, headers, data[:size], len(data) >= size))
            data = data[size:]
        else:
            found.append(Answer(status, headers, data))
            data = b""
        final += status >= 200
    return found


def chunked(status: int, headers: dict[str, str], data: bytes) -> tuple[Answer, bytes]:
    body = b""
    while data:
        line, _, data = data.partition(b"\r\n")
        size = int(line, 16)
        if not size:
            trailers, _, rest = (b"\r\n" + data).partition(b"\r\n\r\n")
            return Answer(status, headers, body, True, trailers.decode("latin-1").strip()), rest
        body += data[:size]
        if len(data) < size + 2:
            break
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]
    return Answer(status, headers, body, False), b""
