"""A visitor's HTTP/2 connection: frames in and out, streams that take turns, and what ends it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, StreamClosedError
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import tune
from egtunnel.ingress.http.dispatch import Dispatch
from egtunnel.ingress.http.farewell import Farewell
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.refusals import RequestRefused
from egtunnel.ingress.http.site import Site
from egtunnel.ingress.http2.calm import Calm
from egtunnel.ingress.http2.limits import H2Limits
from egtunnel.ingress.http2.outbound import Outbound
from egtunnel.ingress.http2.protocol import ENHANCE_YOUR_CALM, NO_ERROR, REFUSED_STREAM, ServerProtocol, goaway
from egtunnel.ingress.http2.requests import read_fields, read_trailers
from egtunnel.ingress.http2.stream import Stream
from egtunnel.ingress.http2.upkeep import Upkeep
from egtunnel.ingress.peer import Peer

__all__ = ["H2Connection"]

GOODBYE = b"goodbye!"
"""Eight bytes of the PING behind a GOAWAY."""
NO_STREAM = 2**31 - 1
"""Stands in a GOAWAY for all streams that may still be on their way."""


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class H2Connection:
    """One connection (RFC 9113); its streams are exchanges like those of HTTP/1.

    What streams have to send leaves at the end of the reactor's turn, frame by frame in turns, and only while the
    transport takes it.
    """

    __slots__ = (
        "_calm",
        "_draining",
        "_held",
        "_lost",
        "_on_lost",
        "_outbound",
        "_protocol",
        "_spent",
        "_successor",
        "_uncredited",
        "_upkeep",
        "dispatch",
        "factory",
        "limits",
        "random_bytes",
        "site",
        "streams",
        "transport",
    )

    def __init__(
        self,
        site: Site,
        peer: Peer,
        on_lost: Any = lambda connection: None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.transport: Any = None
        self.factory: Any = None
        self.site = site
        self.limits: H2Limits = site.settings.http2
        self.dispatch = Dispatch(site, peer, "HTTP/2.0")
        self.streams: dict[int, Stream] = {}
        self.random_bytes = random_bytes
        self._on_lost = on_lost
        self._calm = Calm(self.limits, site.clock)
        self._protocol = ServerProtocol(self.limits, self._calm)
        self._upkeep = Upkeep(self, site, self.limits)
        self._outbound = Outbound(self, self._protocol, site.clock)
        self._successor: Any = None
        self._spent = self._uncredited = self._held = 0
        self._lost = self._draining = False

    # -- IProtocol

    def makeConnection(self, transport: Any) -> None:
        """Connected: say our settings."""
        self.transport = transport
        tune(transport)
        transport.registerProducer(self, True)
        self._upkeep.begin()
        self._protocol.begin()
        self._outbound.write()
        if self.site.closing:
            self.leave()

    def connectionMade(self) -> None:
        """Nothing: ``makeConnection`` did it all."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes of frames."""
        if self._successor is not None:
            self._successor.dataReceived(data)
            return
        self._upkeep.heard()
        try:
            events = self._protocol.receive_data(data)
        except ProtocolError:
            self._break_protocol()
            return
        for event in events:
            react = _REACT.get(type(event))
            if react is not None:
                react(self, event)
            if self._successor is not None or self._lost:
                return
            if self._calm.lost:
                break
        self._calm.note(events)
        if self._calm.lost:
            self.end(ENHANCE_YOUR_CALM)
        else:
            self.flush()

    def readConnectionLost(self) -> None:
        """The visitor sends no more: HTTP/2 has no half-closed connections."""
        if self._successor is not None:
            self._successor.readConnectionLost()
        else:
            self._end(goaway(self._last_stream, NO_ERROR), linger=False)

    def writeConnectionLost(self) -> None:
        """Our own half-close."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over; so is everything it asked for."""
        self._lost = True
        self._stop()
        if self._successor is not None:
            self._successor.connectionLost(reason)
        self._on_lost(self)

    # -- IPushProducer, of responses

    def pauseProducing(self) -> None:
        """The visitor reads too slowly for what is sent."""
        self._outbound.full = True
        self._upkeep.stalled(True)

    def resumeProducing(self) -> None:
        """All that was sent has left."""
        self._outbound.full = False
        self._upkeep.stalled(False)
        self.flush()

    def stopProducing(self) -> None:
        """The transport is going; ``connectionLost`` follows."""

    # -- events

    def _request(self, event: RequestReceived) -> None:
        number = event.stream_id
        if len(self.streams) >= self.limits.streams or self._draining:
            self._protocol.reset_stream(number, REFUSED_STREAM)
            return
        stream = self.streams[number] = Stream(self, number)
        self._upkeep.busy()
        self._spent += 1
        if self._spent >= self.limits.lifetime:
            self.drain()
        try:
            head = read_fields(event.headers or [], event.stream_ended is not None, self.site.limits)
        except RequestRefused as refused:
            self._refuse(stream, refused)
        else:
            stream.begin(head)

    def _data(self, event: DataReceived) -> None:
        counted = event.flow_controlled_length or 0
        self._uncredited += counted
        stream = self.streams.get(event.stream_id or 0)
        if stream is not None:
            stream.receive(event.data or b"", counted)
        self._credit_connection()

    def _trailers(self, event: TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id or 0)
        if stream is None:
            return
        try:
            trailers = read_trailers(event.headers or [], self.site.limits)
        except RequestRefused:
            stream.break_off()
        else:
            stream.end_request(trailers)

    def _ended(self, event: StreamEnded) -> None:
        stream = self.streams.get(event.stream_id or 0)
        if stream is not None and not stream.request_ended:
            stream.end_request([])

    def _reset(self, event: StreamReset) -> None:
        stream = self.streams.pop(event.stream_id or 0, None)
        if stream is not None:
            stream.lose()
            self._left(stream)

    def _window(self, event: WindowUpdated) -> None:
        if event.stream_id:
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                self._outbound.room_given(stream)
        else:
            self._outbound.room_given(None)

    def _settings(self, event: RemoteSettingsChanged) -> None:
        self._outbound.room_given(None)

    def _gone(self, event: ConnectionTerminated) -> None:
        self.end(NO_ERROR)

    def _refuse(self, stream: Stream, refused: RequestRefused) -> None:
        """Answer what is no request, and reset its stream behind the answer (RFC 9113 section 8.1.1)."""
        stream.malformed = refused.refusal.status == 400
        self.dispatch.refuse(refused.refusal, stream)

    def _break_protocol(self) -> None:
        """The library has put a GOAWAY behind what was to be sent."""
        self._end(self._protocol.data_to_send())

    # -- for streams

    def wake(self, stream: Stream) -> None:
        """A stream has something to send."""
        self._outbound.wake(stream)

    def room(self, number: int) -> int:
        """Bytes that the flow control of stream and connection allow."""
        return self._protocol.local_flow_control_window(number)

    def send_headers(self, number: int, fields: Fields, last: bool) -> None:
        """A header section, or trailers."""
        self._protocol.send_headers(number, fields, end_stream=last)
        self._outbound.schedule()

    def send_data(self, number: int, data: bytes | memoryview, last: bool) -> None:
        """Bytes of a body, no more than there is room for."""
        self._protocol.send_data(number, bytes(data), end_stream=last)

    def reset_stream(self, number: int, code: int) -> None:
        """End a stream short; one that both sides have ended meanwhile is over already."""
        if self._successor is None and not self._lost:
            with suppress(StreamClosedError):
                self._protocol.reset_stream(number, code)
            self._outbound.schedule()

    def credit(self, number: int, size: int) -> None:
        """Let the visitor send more on a stream."""
        if self._successor is None and not self._lost:
            self._protocol.increment_flow_control_window(size, number)
            self._outbound.schedule()

    def hold(self, size: int) -> None:
        """Bytes came that the upstream of their stream does not take for now; negative: they were taken."""
        self._held += size
        self._credit_connection()

    def forget(self, stream: Stream) -> None:
        """A stream is over."""
        self.streams.pop(stream.id, None)
        self._left(stream)

    # -- ends

    def leave(self, at_once: bool = False) -> None:
        """Ask for no new streams; those that are on their way are still taken (RFC 9113 section 6.8).

        The visitor has seen that once it has answered the PING behind it; then there is no excuse any more. With
        ``at_once`` there never was one.
        """
        if at_once:
            self.drain()
            if not self.streams:
                self.end(NO_ERROR)
        elif self.transport is not None and not self._draining and self._successor is None and not self._lost:
            self.transport.write(self._protocol.data_to_send() + goaway(NO_STREAM, NO_ERROR))
            self.ping(GOODBYE)

    def _ponged(self, event: PingAckReceived) -> None:
        if event.ping_data == GOODBYE:
            self.drain()
            self.flush()

    def drain(self) -> None:
        """Leave gracefully: no new streams, those there are go on (RFC 9113 section 6.8)."""
        if not self._draining and self._successor is None and not self._lost:
            self._draining = True
            self.transport.write(self._protocol.data_to_send() + goaway(self._last_stream, NO_ERROR))

    def end(self, code: int) -> None:
        """Say GOAWAY with this code, and end."""
        self._end(self._protocol.data_to_send() + goaway(self._last_stream, code))

    def abort(self) -> None:
        """Cut the connection: the visitor does not take what is sent, or is not there."""
        if not self._lost:
            self.transport.abortConnection()

    def ping(self, data: bytes) -> None:
        """Ask whether the visitor is there."""
        self._protocol.ping(data)
        self.flush()

    @property
    def _last_stream(self) -> int:
        return self._protocol.highest_inbound_stream_id

    def _end(self, last_words: bytes, linger: bool = True) -> None:
        if self._successor is not None or self._lost:
            return
        self._successor = farewell = Farewell(self.site.clock, self.site.limits, linger)
        self._stop()
        self.transport.write(last_words)
        self.transport.unregisterProducer()
        farewell.makeConnection(self.transport)

    def _stop(self) -> None:
        self._upkeep.end()
        self._outbound.stop()
        streams, self.streams = list(self.streams.values()), {}
        for stream in streams:
            stream.lose()

    def _left(self, stream: Stream) -> None:
        self._outbound.forget(stream)
        if not self.streams and self._successor is None and not self._lost:
            if self._draining:
                self._outbound.schedule()
            self._upkeep.idle()

    def flush(self) -> None:
        """Write what is due; the last of it ends a connection that was to be left."""
        self._outbound.flush()
        if self._draining and not self.streams:
            self.end(NO_ERROR)

    def _credit_connection(self) -> None:
        window = self.limits.connection_window
        if self._uncredited >= window // 2 and self._held <= window and self._successor is None and not self._lost:
            credit, self._uncredited = self._uncredited, 0
            self._protocol.increment_flow_control_window(credit)
            self._outbound.schedule()


_REACT: dict[type[Event], Callable[[H2Connection, Any], None]] = {
    RequestReceived: H2Connection._request,
    DataReceived: H2Connection._data,
    TrailersReceived: H2Connection._trailers,
    StreamEnded: H2Connection._ended,
    StreamReset: H2Connection._reset,
    WindowUpdated: H2Connection._window,
    RemoteSettingsChanged: H2Connection._settings,
    ConnectionTerminated: H2Connection._gone,
    PingAckReceived: H2Connection._ponged,
}
