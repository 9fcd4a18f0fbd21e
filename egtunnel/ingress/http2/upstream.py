"""A connection to an upstream that speaks HTTP/2 in the clear: one stream at a time, kept for one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h2 import events
from h2.exceptions import ProtocolError
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import tune
from egtunnel.errors import ChannelClosed, EgtunnelError, LinkLost, UpstreamBroke, UpstreamSlow
from egtunnel.ingress.http.deadline import Deadline
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.onward import Onward
from egtunnel.ingress.http.refusals import Refusal, RequestRefused
from egtunnel.ingress.http2.calm import Calm
from egtunnel.ingress.http2.grpc import is_grpc
from egtunnel.ingress.http2.protocol import CANCEL, NO_ERROR, REFUSED_STREAM, goaway
from egtunnel.ingress.http2.upstream_answer import Answer
from egtunnel.ingress.http2.upstream_limits import H2UpstreamLimits
from egtunnel.ingress.http2.upstream_protocol import ClientProtocol, NotHTTP2
from egtunnel.ingress.http2.upstream_request import Request
from egtunnel.interfaces import IMovable, IServer
from egtunnel.splice import Half, abort

__all__ = ["H2Upstream"]

NOT_HTTP2 = Refusal(502, "upstream-broke", "The local service behind this tunnel does not speak HTTP/2 in the clear.")
NO_WEBSOCKET = Refusal(501, "not-implemented", "This tunnel leads to a service over HTTP/2, which takes no WebSockets.")


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer, IMovable)
class H2Upstream:
    """An ``Upstream`` that speaks HTTP/2 with prior knowledge (RFC 9113 section 3.3).

    What of a request the service's window has no room for waits in ``Request``, and the visitor with it (``full``).
    A response is held back by giving no credit; once the request has left, by reading nothing more, too.
    """

    __slots__ = (
        "_answer",
        "_awaited",
        "_deadline",
        "_domain",
        "_ended_by_us",
        "_exchange",
        "_home",
        "_limits",
        "_lost",
        "_patient",
        "_paused",
        "_protocol",
        "_reading",
        "_request",
        "_stuck",
        "_widths",
        "factory",
        "full",
        "idle_since",
        "idle_until",
        "server",
        "transport",
        "untouched",
    )

    log = Logger()

    def __init__(
        self, home: Any, clock: IReactorTime, limits: HTTPLimits, domain: str, widths: H2UpstreamLimits | None = None
    ) -> None:
        self.transport: Any = None
        self.factory: Any = None
        self.idle_since = self.idle_until = 0.0
        self.server: IServer | None = None
        self.untouched = True
        self._home = home
        self._limits = limits
        self._domain = domain
        self._widths = widths or H2UpstreamLimits()
        self._protocol = ClientProtocol(self._widths, limits.response_head, Calm(self._widths.visitor, clock))
        self._deadline = Deadline(clock, self._too_slow)
        self._exchange: Any = None
        self._answer = Answer(False, domain, limits)
        self._request: Request | None = None
        self.full = self._lost = self._ended_by_us = self._stuck = self._paused = self._patient = False
        self._awaited = 0.0
        self._reading = True

    # -- for an exchange

    def begin(self, exchange: Any, onward: Onward) -> None:
        """Send the head of a request."""
        head, self._exchange = onward.head, exchange
        self._answer = Answer(head.method == b"HEAD", self._domain, self._limits)
        self._patient = is_grpc(head.fields)
        self.untouched = True
        if b"websocket" in head.upgrade.split(b", "):
            self._fail(RequestRefused(NO_WEBSOCKET))
            return
        try:
            self._request = Request(self._protocol, onward.http2(), head.has_body)
        except ProtocolError as error:  # it takes no streams at all
            self._fail(UpstreamBroke(str(error)))
            return
        self._write()
        self._wait()
        if self.full:
            exchange.upstream_full(True)

    def send_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._request is not None:
            self._request.add(data)
            self._upload()

    def end_request(self, trailers: Fields) -> None:
        """The whole request was given; but for gRPC the upstream has ``answer`` seconds once it has left."""
        if self._request is not None:
            self._request.end(trailers)
            self._upload()

    def pause(self) -> None:
        """Bring no more of the response than the upstream has credit for, until ``resume``."""
        self._paused = True
        self._hold()

    def resume(self) -> None:
        """Bring more of the response."""
        self._paused = False
        self._hold()
        self._credit()
        self._write()

    def abandon(self) -> None:
        """The exchange wants nothing more: the stream is cancelled, the connection closed behind that."""
        self._exchange = None
        if not self._lost and not self._ended_by_us:
            if self._request is not None:
                self._request.cancel(CANCEL)
            self._end(goaway(0, NO_ERROR))

    def become_half(self) -> tuple[Half, bytes]:
        """HTTP/2 has no 101, so nobody comes here."""
        raise UpstreamBroke("HTTP/2 knows no upgrades")

    def move(self) -> None:
        """The far side is not heard for now: let the exchange go elsewhere, if it can."""
        if self._exchange is not None and self._exchange.movable():
            self._fail(LinkLost())

    # -- for the pool

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent once the present response is complete."""
        return self._exchange is None and not (self._lost or self._ended_by_us) and self._protocol.takes_more

    def close(self) -> None:
        """End an idle connection."""
        if not self._lost and not self._ended_by_us:
            self._end(goaway(0, NO_ERROR))

    # -- IProtocol

    def makeConnection(self, transport: Any) -> None:
        """Connected; our settings leave with the first request."""
        self.transport = transport
        tune(transport)
        self._protocol.begin()
        transport.registerProducer(self, True)

    def connectionMade(self) -> None:
        """Nothing: ``makeConnection`` did it all."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes of frames."""
        if self._ended_by_us:
            return
        try:
            happened = self._protocol.receive_data(data)
        except NotHTTP2:
            self._complain("does not speak HTTP/2 in the clear")
            self._break(RequestRefused(NOT_HTTP2))
            return
        except ProtocolError as error:
            self._complain(f"breaks the rules of HTTP/2: {error}")
            self._break(UpstreamBroke("the response is malformed"))
            return
        for event in happened:
            self._react(event)
            if self._ended_by_us or self._lost:
                return
        if self._exchange is not None:
            self._exchange.response_flush()
        self._write()

    def _react(self, event: events.Event) -> None:
        """Do what one event asks for; what still comes for a request that was given up asks for nothing."""
        kind, exchange, request = type(event), self._exchange, self._request
        if kind in _OF_CONNECTION:
            _OF_CONNECTION[kind](self, event)
        elif kind in _OF_STREAM and request is not None and event.stream_id == request.number:  # type: ignore[attr-defined]
            try:
                _OF_STREAM[kind](self, exchange, event)
            except UpstreamBroke as error:
                self._fail(error)

    def readConnectionLost(self) -> None:
        """The upstream sends no more: HTTP/2 has no half-closed connections."""
        if not self._lost and not self._ended_by_us:
            self._break(UpstreamBroke("the local service closed the connection"))

    def writeConnectionLost(self) -> None:
        """Our own half-close."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over."""
        self._lost = True
        self._deadline.cancel()
        self._request = None
        known = isinstance(reason.value, EgtunnelError)
        error = reason.value if known else UpstreamBroke("the local service closed the connection")
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            self._home.forget(self)
        else:
            exchange.response_failed(error)

    # -- IPushProducer

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._stuck = True
        self._tell()

    def resumeProducing(self) -> None:
        """The transport's buffer has emptied."""
        self._stuck = False
        self._upload()

    def stopProducing(self) -> None:
        """The transport is going; ``connectionLost`` follows."""

    # -- the request

    def _upload(self, event: events.Event | None = None) -> None:
        """Send what there is room for."""
        request = self._request
        if request is not None and not self._stuck:
            request.flush()
            self._hold()
            self._write()
        self._tell()

    def _tell(self) -> None:
        """Whether the visitor has to wait; and how long we do."""
        full = self._stuck or (self._request is not None and self._request.waits)
        if full != self.full:
            self.full = full
            if self._exchange is not None:
                self._exchange.upstream_full(full)
        self._wait()

    def _wait(self) -> None:
        """Set the time for what is to happen next. gRPC calls wait as long as their callers do, once we are greeted."""
        request, limits, patient = self._request, self._limits, self._patient
        if self._ended_by_us or self._lost:
            return
        wait = 0.0
        if request is not None:
            if self._stuck or (request.waits and not patient):
                wait = limits.upstream_stall
                self._awaited = 0.0  # each time that some of it leaves
            elif not self._protocol.greeted or (request.sent and not self._answer.begun and not patient):
                wait = limits.answer
        if wait != self._awaited:
            self._awaited = wait
            if wait:
                self._deadline.set(wait)
            else:
                self._deadline.clear()

    def _too_slow(self) -> None:
        if self._ended_by_us:
            abort(self.transport, ChannelClosed())
        elif self._exchange is not None:
            self._fail(UpstreamSlow())

    # -- the response

    def _head(self, exchange: Any, event: Any) -> None:
        self.untouched = False
        head = self._answer.head(event.headers or [], getattr(event, "stream_ended", None) is not None)
        self._wait()
        exchange.response_head(head)

    def _data(self, exchange: Any, event: events.DataReceived) -> None:
        data = event.data or b""
        self._answer.data(data, event.flow_controlled_length or 0)
        if data:
            exchange.response_body(data)
        if event.stream_ended is None:
            self._credit()

    def _complete(self, exchange: Any, event: events.StreamEnded) -> None:
        trailers = self._answer.end()
        if self._request is not None:
            self._request.cancel(CANCEL)  # where a part of it is still to be sent
        self._exchange = self._request = None
        self.full = self._stuck
        self._wait()
        self._hold()
        self._write()
        exchange.response_end(trailers)

    def _reset(self, exchange: Any, event: events.StreamReset) -> None:
        if event.error_code != REFUSED_STREAM:
            self.untouched = False
        self._fail(UpstreamBroke("the local service reset the stream"))

    def _credit(self) -> None:
        """Half a window at a time, while the visitor takes it."""
        request = self._request
        if request is not None and not self._paused and self._protocol.is_open(request.number):
            credit = self._answer.credit(self._widths, request.sent)
            if credit:
                self._protocol.increment_flow_control_window(credit, request.number)

    def _hold(self) -> None:
        """Stop reading where nothing but the response is to come; before, we wait for the service's credit, too."""
        request = self._request
        reading = not (self._paused and request is not None and request.sent)
        if reading != self._reading and not self._lost and not self._ended_by_us:
            self._reading = reading
            if reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    # -- the connection

    def _leaving(self, event: events.ConnectionTerminated) -> None:
        """It takes no more streams; ours goes on if it knows of it (RFC 9113 section 6.8)."""
        if self._exchange is None:
            self._break(UpstreamBroke())
        elif self._request is not None and self._request.number > (event.last_stream_id or 0):
            self._fail(UpstreamBroke("the local service takes no more requests on this connection"))

    def _complain(self, what: str) -> None:
        self.log.info("the service of tunnel {tunnel} {what}", tunnel=self._home.tunnel.name, what=what)

    def _fail(self, error: EgtunnelError) -> None:
        exchange = self._exchange
        self.abandon()
        exchange.response_failed(error)

    def _break(self, error: EgtunnelError, last_words: bytes = b"") -> None:
        """The connection is of no more use to anybody."""
        exchange, self._exchange = self._exchange, None
        self._end(last_words)
        if exchange is None:
            self._home.forget(self)
        else:
            exchange.response_failed(error)

    def _end(self, last_words: bytes) -> None:
        """Let what was written leave, in a limited time."""
        self._ended_by_us = True
        self._request = None
        self._write(last_words)
        self.transport.unregisterProducer()
        self._deadline.set(self._limits.linger)
        self.transport.loseConnection()

    def _write(self, last_words: bytes = b"") -> None:
        data = self._protocol.data_to_send() + last_words
        if data and not self._lost:
            self.transport.write(data)


_OF_CONNECTION: dict[type[events.Event], Callable[[H2Upstream, Any], None]] = {
    events.ConnectionTerminated: H2Upstream._leaving,
    events.RemoteSettingsChanged: H2Upstream._upload,
    events.WindowUpdated: H2Upstream._upload,
}
_OF_STREAM: dict[type[events.Event], Callable[[H2Upstream, Any, Any], None]] = {
    events.DataReceived: H2Upstream._data,
    events.InformationalResponseReceived: H2Upstream._head,
    events.ResponseReceived: H2Upstream._head,
    events.StreamEnded: H2Upstream._complete,
    events.StreamReset: H2Upstream._reset,
    events.TrailersReceived: lambda self, _, event: self._answer.trailing(event.headers or []),
}
