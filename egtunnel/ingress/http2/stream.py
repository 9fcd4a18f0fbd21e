"""One stream of a visitor's connection: a request in, its response out, within the stream's own flow control."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from egtunnel.errors import EgtunnelError
from egtunnel.ingress.http.approach import Exchanging
from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.local import NO_LINK
from egtunnel.ingress.http.pace import Pace
from egtunnel.ingress.http.record import Record
from egtunnel.ingress.http.refusals import BROKE
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http2.grpc import is_grpc
from egtunnel.ingress.http2.pieces import Pieces
from egtunnel.ingress.http2.progress import Progress
from egtunnel.ingress.http2.response_fields import response_fields
from egtunnel.ingress.http2.stream_transport import StreamTransport
from egtunnel.ingress.http2.websocket import Handshake
from egtunnel.interfaces import Visitor
from egtunnel.splice import Half

__all__ = ["IStreamConnection", "Stream"]

CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR = 8, 2, 0, 1

IStreamConnection = Any
"""``http2.connection.H2Connection``, which a stream knows as well as it is known by it."""


@implementer(IResponder)
class Stream:
    """Both ends of one exchange as HTTP/2 sees them.

    What the response brings waits in ``_pending`` until the connection lets it out (``send``); more than ``buffer`` of
    it pauses the exchange. ``malformed``: the request is no HTTP; its answer ends with a reset. ``over``: nothing more
    is to be sent. ``_lingering``: the response is complete, and what still comes of the request is thrown away.
    """

    __slots__ = (
        "_blocked",
        "_connection",
        "_credit",
        "_exchange",
        "_fields",
        "_finished",
        "_got",
        "_half",
        "_handshake",
        "_head",
        "_left",
        "_lingering",
        "_mute",
        "_pace",
        "_paused",
        "_pending",
        "_progress",
        "_stuck",
        "_thrown",
        "_trailers",
        "id",
        "malformed",
        "over",
        "queued",
        "record",
        "request_ended",
        "started",
    )

    def __init__(self, connection: IStreamConnection, number: int) -> None:
        self.id = number
        self.queued = self.request_ended = self.started = self.malformed = False
        self.record: Record | None = None
        self._connection = connection
        self._progress = Progress(connection.site.limits, connection.site.clock)
        self._head: RequestHead | None = None
        self._pace: Pace | None = None
        self._exchange: Exchanging | None = None
        self._half: StreamTransport | None = None
        self._handshake: Handshake | None = None
        self._fields: Fields | None = None
        self._trailers: Fields = []
        self._pending = Pieces()
        self._credit = self._stuck = self._got = self._thrown = 0
        self._blocked = self._paused = self._finished = self._left = self._lingering = self._mute = self.over = False

    # -- the request

    def begin(self, head: RequestHead) -> None:
        """The head has come."""
        self._head = head
        if head.has_body and not is_grpc(head.fields):
            self._pace = Pace(head, self._connection.site.limits, self._progress.since)
        if head.upgrade:
            self._handshake = Handshake(self._connection.random_bytes)
            head.fields.append(self._handshake.key_field)
        self._connection.dispatch.answer(head, self, self)
        if head.upgrade and self._exchange is not None:
            self._exchange.end([])

    def begin_exchange(self, exchange: Exchanging, visitor: Visitor) -> None:
        """Start an exchange; what comes of the body is its."""
        self._exchange = exchange
        exchange.start(visitor)

    def hand_over(self, protocol: Any, head: bytes) -> None:
        """Clients connect by HTTP/1.1: a stream cannot be given away."""
        self._connection.dispatch.refuse(NO_LINK, self, self._head)

    def receive(self, data: bytes, counted: int) -> None:
        """A piece of the body, which took ``counted`` bytes of the window."""
        if self._pace is not None:
            self._pace.took(len(data), self._connection.site.clock.seconds())
        self._got += len(data)
        if self._lingering:
            self._throw_away(counted)
            return
        if self._head is not None and self._head.length is not None and self._got > self._head.length:
            self.break_off()
            return
        if self._blocked:
            self._stuck += counted
            self._connection.hold(counted)
        self._credit += counted
        if self._half is not None:
            self._half.receive(data)
        elif self._exchange is not None and data:
            self._exchange.body(data)
        self._give_credit()

    def _throw_away(self, counted: int) -> None:
        self._thrown += counted
        self._credit += counted
        if self._thrown > self._connection.site.limits.linger_bytes:
            self.break_off(NO_ERROR)
        else:
            self._give_credit()

    def end_request(self, trailers: Fields) -> None:
        """The request is complete; a body of another length than it promised would mislead an HTTP/1 upstream."""
        head = self._head
        if head is not None and head.length is not None and head.length != self._got and not self._lingering:
            self.break_off()
            return
        self.request_ended = True
        if self._half is not None:
            self._half.ended()
        elif self._exchange is not None and not (head is not None and head.upgrade):
            self._exchange.end(trailers)
        self._look_whether_over()

    def lose(self) -> None:
        """The visitor, or the whole connection, has given the stream up."""
        self.over = True
        self._drop()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
        half, self._half = self._half, None
        if half is not None:
            half.lost()
        self._log(complete=False)

    def late(self, now: float) -> bool:
        """Whether the visitor sends its request too slowly, or takes too little of the response."""
        if self._lingering:
            return self._progress.lingered(now)
        if self._pending and not self.queued:
            return self._progress.stalled(now)
        waits = not (self.request_ended or self._blocked or self.started or self._exchange is None)
        return waits and self._pace is not None and now >= self._pace.until(answered=False)

    # -- IResponder

    def send_informational(self, status: int, reason: bytes, fields: Fields) -> None:
        """Send it at once."""
        if not self.over:
            self._connection.send_headers(self.id, response_fields(status, fields), False)

    def send_head(self, status: int, reason: bytes, fields: Fields, length: int | None, bodiless: bool = False) -> None:
        """The head leaves with what follows it, so that one without a body ends the stream (as gRPC wants it)."""
        if self._exchange is not None and self._handshake is not None and 200 <= status < 300:
            self._refuse_handshake()
            return
        self.started = True
        self._fields = response_fields(status, fields)
        if length is not None:
            self._fields.append((b"content-length", b"%d" % length))
        self._mute = bodiless or (self._head is not None and self._head.method == b"HEAD")
        if self.record is not None:
            self.record.head_sent(status, fields)
        self._connection.wake(self)

    def _refuse_handshake(self) -> None:
        """To a CONNECT any 2xx would say that the WebSocket is open (RFC 8441 section 5); in HTTP/1 only 101 does."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
        self._connection.dispatch.refuse(BROKE, self, self._head)

    def send_body(self, data: bytes) -> None:
        """Queue a piece; to HEAD nothing."""
        if self._mute or self.over or not data:
            return
        if not self._pending:
            self._progress.mark()
        self._pending.add(data)
        if self.record is not None:
            self.record.sent += len(data)
        self._connection.wake(self)
        if not self._paused and self._pending.size > self._connection.limits.buffer:
            self._paused = True
            self._hold_back(True)

    def flush(self) -> None:
        """The connection writes by turns of its streams."""

    def finish(self, trailers: Fields) -> None:
        """The response is complete once what is queued has left."""
        self._exchange = None
        self._finished = True
        self._trailers = trailers
        self._connection.wake(self)

    def abort(self, error: EgtunnelError) -> None:
        """Reset the stream; nobody takes that for a complete response."""
        self._exchange = None
        self._reset(INTERNAL_ERROR)

    def switch(self, status: int, reason: bytes, fields: Fields) -> Half:
        """Answer the CONNECT with 200; from here on DATA frames carry the WebSocket's bytes."""
        self._exchange = None
        half = Half()
        self._half = transport = StreamTransport(self, half)
        half.makeConnection(transport)
        self.started = True
        if self._handshake is None or not self._handshake.accepted(fields):
            self._reset(INTERNAL_ERROR)
            return half
        self._fields = response_fields(200, [field for field in fields if field[0].lower() != b"sec-websocket-accept"])
        if self.record is not None:
            self.record.switched(200)
        self._connection.wake(self)
        return half

    def pause_request(self) -> None:
        """Give no more credit."""
        self._blocked = True

    def resume_request(self, read: int = 0) -> None:
        """Give the credit that was held back."""
        self._blocked = False
        if self._pace is not None:
            self._pace.go_on(self._connection.site.clock.seconds())
        self._unstick()
        self._give_credit()

    # -- for the connection and for the bytes of a WebSocket

    def send(self, largest: int) -> bool:
        """Give the connection one frame, or two; whether there is more that could go now."""
        if self.over:
            return False
        connection, ended = self._connection, self._finished and not self._trailers
        fields, self._fields = self._fields, None
        if fields is not None:
            last = ended and not self._pending and not self.malformed
            connection.send_headers(self.id, fields, last)
            if last:
                return self._response_left()
        if self._pending:
            room = min(connection.room(self.id), largest)
            if room <= 0:
                return False
            piece = self._next_piece(room)
            last = ended and not self._pending and not self.malformed
            connection.send_data(self.id, piece, last)
            self._drained()
            if self._pending:
                return True
            if last:
                return self._response_left()
        if self._finished and not self._pending:
            self._send_end()
            return self._response_left()
        return False

    def end_response(self) -> None:
        """No more bytes of a WebSocket follow."""
        self.finish([])

    def reset(self) -> None:
        """Break the stream off."""
        self._reset(CANCEL)

    def time_out(self) -> None:
        """The visitor did nothing for this stream for too long."""
        self.break_off(NO_ERROR if self._lingering else CANCEL)

    def break_off(self, code: int = PROTOCOL_ERROR) -> None:
        """Reset the stream, and let its upstream know: by default because the request is malformed."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
        self._reset(code)

    # --

    def _next_piece(self, room: int) -> bytes | memoryview:
        piece = self._pending.take(room)
        self._progress.took(len(piece), bool(self._pending))
        return piece

    def _drained(self) -> None:
        if self._paused and self._pending.size < self._connection.limits.buffer // 2:
            self._paused = False
            self._hold_back(False)

    def _hold_back(self, full: bool) -> None:
        source: Any = self._half if self._half is not None else self._exchange
        if source is None:
            return
        if full:
            source.pause()
        else:
            source.resume()

    def _send_end(self) -> None:
        if self.malformed:
            self._connection.reset_stream(self.id, PROTOCOL_ERROR)
        elif self._trailers:
            self._connection.send_headers(self.id, [(n.lower(), v.strip(b" \t")) for n, v in self._trailers], True)
        else:
            self._connection.send_data(self.id, b"", True)

    def _response_left(self) -> bool:
        """The response is complete; what else the visitor has to say is of no use (RFC 9113 section 8.1).

        It has its time to notice that by itself: some programs take a reset for an error, whatever its code.
        """
        self._left = True
        self._finished = False
        self._log(complete=True)
        if self._half is not None:
            self._half.write_ended()
        elif self.malformed:
            self.request_ended = True
        elif not self.request_ended:
            self._lingering = True
            self._progress.mark()
        self._look_whether_over()
        return False

    def _look_whether_over(self) -> None:
        if self.request_ended and self._left and not self.over:
            self.over = True
            self._drop()
            half, self._half = self._half, None
            if half is not None:
                half.done()
            self._connection.forget(self)

    def _reset(self, code: int) -> None:
        if not self.over:
            self.over = True
            self._drop()
            self._connection.reset_stream(self.id, code)
            half, self._half = self._half, None
            if half is not None:
                half.lost()
            self._log(complete=False)
            self._connection.forget(self)

    def _drop(self) -> None:
        self._pending.clear()
        self._unstick()

    def _unstick(self) -> None:
        if self._stuck:
            self._connection.hold(-self._stuck)
            self._stuck = 0

    def _give_credit(self) -> None:
        """Half a window at a time, while the upstream takes it."""
        if self._credit >= self._connection.limits.window // 2 and not (
            self._blocked or self.request_ended or self.over
        ):
            credit, self._credit = self._credit, 0
            self._connection.credit(self.id, credit)

    def _log(self, complete: bool) -> None:
        record, self.record = self.record, None
        if record is not None:
            record.over(complete)
