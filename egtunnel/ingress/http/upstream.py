"""A connection to an upstream, kept for one exchange after the other; speaks HTTP/1.1 over any transport."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import tune
from egtunnel.errors import ChannelClosed, EgtunnelError, LinkLost, UpstreamBroke, UpstreamSlow
from egtunnel.ingress.http.deadline import Deadline
from egtunnel.ingress.http.head import ResponseHead
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.onward import Onward
from egtunnel.ingress.http.parser import END, End
from egtunnel.ingress.http.responses import ResponseReader
from egtunnel.interfaces import IMovable, IServer
from egtunnel.splice import Half, abort

__all__ = ["Home", "Upstream", "UpstreamConnection", "Waiting"]


class Waiting(Protocol):
    """Who waits for a response: an exchange."""

    def response_head(self, head: ResponseHead) -> None:
        """A head, informational or final or 101."""

    def response_body(self, data: bytes) -> None:
        """A piece of the body."""

    def response_flush(self) -> None:
        """No more came at once than what was told since the last time."""

    def response_end(self, trailers: Fields) -> None:
        """The response is complete; the connection is no longer this exchange's."""

    def response_failed(self, error: BaseException) -> None:
        """No complete response will come; the connection is no longer this exchange's."""

    def upstream_full(self, full: bool, read: int = 0) -> None:
        """Whether the upstream takes no more of the request for now; ``read``: bytes to be read at once from now on."""

    def movable(self) -> bool:
        """Whether the request may go to somebody else instead, and there is somebody."""


class Home(Protocol):
    """Where an idle connection is kept: a pool."""

    def forget(self, upstream: UpstreamConnection) -> None:
        """An idle connection is of no more use."""


class Upstream(Protocol):
    """A connection to an upstream as exchanges and pools see it, whichever HTTP it speaks: one exchange at a time.

    ``idle_since``, ``idle_until`` and ``server`` belong to the pool. ``untouched``: nothing has come for the present
    request. ``full``: it takes no more of the request for now.
    """

    idle_since: float
    idle_until: float
    server: IServer | None
    untouched: bool
    full: bool

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent once the present response is complete."""

    def begin(self, exchange: Waiting, onward: Onward) -> None:
        """Send the head of a request; its body and ``end_request`` follow, even where there is no body."""

    def send_body(self, data: bytes) -> None:
        """A piece of the request's body."""

    def end_request(self, trailers: Fields) -> None:
        """The whole request was given: the upstream has a limited time to answer from now."""

    def pause(self) -> None:
        """Bring no more of the response until ``resume``."""

    def resume(self) -> None:
        """Bring more of the response."""

    def abandon(self) -> None:
        """The exchange wants nothing more: the connection is of no use either."""

    def become_half(self) -> tuple[Half, bytes]:
        """Stop speaking HTTP: the connection as one end of a splice, and what came behind the 101."""

    def close(self) -> None:
        """End an idle connection."""


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer, IMovable)
class UpstreamConnection:
    """An ``Upstream`` that speaks HTTP/1.1."""

    __slots__ = (
        "_answered",
        "_chunked",
        "_deadline",
        "_ended_by_us",
        "_exchange",
        "_half",
        "_home",
        "_limits",
        "_lost",
        "_paused",
        "_reader",
        "_request_sent",
        "factory",
        "full",
        "idle_since",
        "idle_until",
        "server",
        "transport",
        "untouched",
    )

    def __init__(self, home: Home, clock: IReactorTime, limits: HTTPLimits, domain: str) -> None:
        self.transport: Any = None
        self.factory: Any = None
        self.idle_since = self.idle_until = 0.0
        self.server: IServer | None = None
        self.untouched = True
        self._home = home
        self._limits = limits
        self._reader = ResponseReader(limits, domain)
        self._deadline = Deadline(clock, self._too_slow)
        self._exchange: Waiting | None = None
        self._half: Half | None = None
        self._lost = False
        self._ended_by_us = False
        self.full = False
        self._paused = False
        self._request_sent = self._answered = self._chunked = False

    # -- for an exchange

    def begin(self, exchange: Waiting, onward: Onward) -> None:
        """Send the head of a request."""
        self._exchange = exchange
        self._request_sent = self._answered = False
        self._chunked = onward.head.chunked
        self.untouched = True
        self._reader.expect(onward.head.method == b"HEAD")
        self.transport.write(onward.http1())
        if self.full:
            exchange.upstream_full(True)

    def send_body(self, data: bytes) -> None:
        """A piece of the body, as a chunk where its length is not known."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end_request(self, trailers: Fields) -> None:
        """The whole request was given: the upstream has ``answer`` seconds from now."""
        if self._chunked:
            lines = [b"%b: %b\r\n" % field for field in trailers]
            self.transport.write(b"0\r\n%b\r\n" % b"".join(lines))
        self._request_sent = True
        if not self.full:
            self._deadline.set(self._limits.answer)

    def pause(self) -> None:
        """Bring no more of the response until ``resume``."""
        if not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Bring more of the response."""
        if self._paused and not self._lost:
            self._paused = False
            self.transport.resumeProducing()

    def abandon(self) -> None:
        """The exchange wants nothing more: the connection is of no use either."""
        self._exchange = None
        self._deadline.cancel()
        if not self._lost:
            self._ended_by_us = True
            self.transport.unregisterProducer()
            abort(self.transport, ChannelClosed())

    def become_half(self) -> tuple[Half, bytes]:
        """Stop speaking HTTP: the connection as one end of a splice, and what came behind the 101."""
        self._exchange = None
        self._deadline.cancel()
        self.transport.unregisterProducer()
        self._half = half = Half(UpstreamBroke)
        half.makeConnection(self.transport)
        rest = self._reader.rest
        self._reader.close()
        return half, rest

    def move(self) -> None:
        """The far side is not heard for now: let the exchange go elsewhere, if it can."""
        if self._exchange is not None and self._exchange.movable():
            self._fail(self._exchange, LinkLost())

    # -- for the pool

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent once the present response is complete."""
        return self._reader.complete and self._reader.clean and not self._lost and not self._ended_by_us

    def close(self) -> None:
        """End an idle connection."""
        self._deadline.cancel()
        if not self._lost and not self._ended_by_us:
            self._ended_by_us = True
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    # -- IProtocol

    def makeConnection(self, transport: Any) -> None:
        """Connected: take turns with the transport's own buffer."""
        self.transport = transport
        tune(transport)
        transport.registerProducer(self, True)

    def connectionMade(self) -> None:
        """Nothing: ``makeConnection`` did it all."""

    def dataReceived(self, data: bytes) -> None:
        """Read what comes and tell the exchange; what comes to none ends the connection."""
        if self._half is not None:
            self._half.dataReceived(data)
            return
        exchange = self._exchange
        if exchange is None:
            self._unasked()
            return
        self.untouched = False
        try:
            events = self._reader.feed(data)
        except UpstreamBroke as error:
            self._fail(exchange, error)
            return
        for event in events:
            if self._exchange is not exchange:
                return
            if type(event) is bytes:
                exchange.response_body(event)
            elif isinstance(event, ResponseHead):
                if event.status >= 200:
                    self._answered = True
                    if not self.full:
                        self._deadline.clear()
                exchange.response_head(event)
            elif isinstance(event, End):
                self._end(exchange, event)
                return
        if self._exchange is exchange:
            exchange.response_flush()

    def readConnectionLost(self) -> None:
        """The upstream sends no more."""
        if self._half is not None:
            self._half.readConnectionLost()
        elif not self._lost and not self._ended_by_us:
            self._ended(UpstreamBroke("the local service closed the connection"))
            self.close()

    def writeConnectionLost(self) -> None:
        """Our own half-close, after an upgrade."""
        if self._half is not None:
            self._half.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over."""
        self._lost = True
        self._deadline.cancel()
        if self._half is not None:
            self._half.connectionLost(reason)
            return
        error = reason.value
        if reason.check(ConnectionDone):
            self._ended(UpstreamBroke("the local service closed the connection"))
        else:
            self._broken(error if isinstance(error, EgtunnelError) else UpstreamBroke(str(error)))
        self._reader.close()

    # -- IPushProducer

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self.full = True
        if self._exchange is not None:
            self._deadline.set(self._limits.upstream_stall)
            self._exchange.upstream_full(True)

    def resumeProducing(self) -> None:
        """The transport's buffer has emptied."""
        self.full = False
        self._deadline.clear()
        if self._exchange is not None:
            if self._request_sent and not self._answered:
                self._deadline.set(self._limits.answer)
            self._exchange.upstream_full(False, getattr(self.transport, "read_size", 0))

    def stopProducing(self) -> None:
        """The transport is going; ``connectionLost`` follows."""

    # --

    def _end(self, exchange: Waiting, end: End) -> None:
        self._exchange = None
        self._deadline.clear()
        exchange.response_end(end.trailers)

    def _ended(self, error: EgtunnelError) -> None:
        exchange = self._exchange
        if exchange is not None and self._reader.end():
            self._end(exchange, END)
        else:
            self._broken(error)

    def _broken(self, error: EgtunnelError) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            self._home.forget(self)
        else:
            exchange.response_failed(error)

    def _fail(self, exchange: Waiting, error: EgtunnelError) -> None:
        self.abandon()
        exchange.response_failed(error)

    def _too_slow(self) -> None:
        if self._exchange is not None:
            self._fail(self._exchange, UpstreamSlow())

    def _unasked(self) -> None:
        self._home.forget(self)
        self.close()
