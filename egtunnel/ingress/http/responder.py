"""The visitor's side of an exchange: what an exchange tells it, whichever version of HTTP it speaks; and HTTP/1's."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface, implementer

from egtunnel.eager import widen, write_now
from egtunnel.errors import EgtunnelError
from egtunnel.ingress.http.head import Fields, RequestHead
from egtunnel.ingress.http.record import Record
from egtunnel.splice import Half

__all__ = ["HTTP1Responder", "IResponder", "IVisitorConnection"]


class IResponder(Interface):
    """Takes one response. A stream of HTTP/2 can be one as well as a connection of HTTP/1.

    In the other direction it feeds the exchange: ``body``, ``end``, ``cancel``, ``pause``, ``resume``.
    """

    record: Record | None = Attribute("What the access log is to say; None: nothing.")

    def send_informational(status: int, reason: bytes, fields: Fields) -> None:
        """A 1xx response that is not 101."""

    def send_head(status: int, reason: bytes, fields: Fields, length: int | None, bodiless: bool = False) -> None:
        """The final head. ``length`` of the body, None: unknown; ``bodiless``: none follows, whatever the length."""

    def send_body(data: bytes) -> None:
        """A piece of the body."""

    def flush() -> None:
        """What was sent may not wait any longer: nothing else came with it."""

    def finish(trailers: Fields) -> None:
        """The response is complete."""

    def abort(error: EgtunnelError) -> None:
        """The response will not become complete, and nobody may take it for complete."""

    def switch(status: int, reason: bytes, fields: Fields) -> Half:
        """Answer 101; from here on the visitor's bytes go as they are. Gives the visitor's end, ready to be joined."""

    def pause_request() -> None:
        """Send no more of the request's body until ``resume_request``."""

    def resume_request(read: int = 0) -> None:
        """Send more of the request's body; ``read``: bytes that may be read at once from now on."""


class IVisitorConnection(Interface):
    """The connection, as its responder sees it."""

    def request_complete() -> bool:
        """Whether the whole request has been read."""

    def response_over(keep: bool) -> None:
        """The response is complete; ``keep``: another may follow on this connection."""

    def break_off(flush: bool = False) -> None:
        """Cut the connection; with ``flush`` only after what was written has left."""

    def become_half() -> Half:
        """Stop speaking HTTP: the connection as one end of a splice."""

    def block(blocked: bool) -> None:
        """Whether to stop reading."""


@implementer(IResponder)
class HTTP1Responder:
    """Writes responses to a connection, one after the other (RFC 9112): framing and persistence are decided here.

    What an upstream gives at once is written at once: heads and pieces wait in ``_out`` until ``flush`` or the end.

    ``closing``: keep the connection no more. ``started``: the head was given. ``written`` counts what was.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_head",
        "_keep",
        "_marked",
        "_mute",
        "_out",
        "_wants_keep",
        "closing",
        "record",
        "started",
        "transport",
        "written",
    )

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.transport: Any = None
        self.closing = False
        self.written = 0
        self.record: Record | None = None
        self._out: list[bytes] = []
        self.begin(None)

    def begin(self, head: RequestHead | None) -> None:
        """A response to this request is to come; None: to one that could not be read, of which there may be a head."""
        self._head = head
        self._wants_keep = head is not None and head.keep_alive
        self._keep = False
        self._chunked = False
        self._mute = False
        self._marked = False
        self.started = False

    def send_informational(self, status: int, reason: bytes, fields: Fields) -> None:
        """HTTP/1.0 knows none."""
        if self._head is not None and self._head.modern:
            lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
            lines += [b"%b: %b\r\n" % field for field in fields]
            lines.append(b"\r\n")
            self._out += lines
            self.flush()

    def send_head(self, status: int, reason: bytes, fields: Fields, length: int | None, bodiless: bool = False) -> None:
        """Give the head; the connection closes after it unless request and framing let it go on."""
        head = self._head
        self.started = True
        self._mute = bodiless or (head is not None and head.method == b"HEAD")
        keep = self._wants_keep and not self.closing and self._connection.request_complete()
        lines = self._out
        lines.append(b"HTTP/1.1 %d %b\r\n" % (status, reason))
        lines += [b"%b: %b\r\n" % field for field in fields]
        if length is not None:
            lines.append(b"Content-Length: %d\r\n" % length)
        elif not self._mute:
            self._chunked = head is None or head.modern
            keep = keep and self._chunked
            if self._chunked:
                lines.append(b"Transfer-Encoding: chunked\r\n")
        if not keep:
            lines.append(b"Connection: close\r\n\r\n")
        elif head is not None and not head.modern:
            lines.append(b"Connection: keep-alive\r\n\r\n")
        else:
            lines.append(b"\r\n")
        self._keep = keep
        self._marked = self._chunked or length is not None
        self.written += 1
        if self.record is not None:
            self.record.head_sent(status, fields)

    def send_body(self, data: bytes) -> None:
        """Give a piece, as a chunk if need be; to HEAD nothing."""
        if self._mute or not data:
            return
        self.written += 1
        if self.record is not None:
            self.record.sent += len(data)
        if self._chunked:
            self._out.append(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._out.append(data)

    def flush(self) -> None:
        """Write all there is as one piece."""
        out = self._out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()  # first: the transport may call back
            write_now(self.transport, data)

    def finish(self, trailers: Fields) -> None:
        """Write what ends the body; only chunks can carry trailers."""
        if self._chunked:
            self._out.append(b"0\r\n")
            self._out += [b"%b: %b\r\n" % field for field in trailers]
            self._out.append(b"\r\n")
        self.flush()
        self._over(complete=True)
        self._connection.response_over(self._keep)

    def abort(self, error: EgtunnelError) -> None:
        """End the connection short of the body's end, the only sign HTTP/1 has.

        What came so far leaves first, where length or chunks show that more was to come; a body that the end of the
        connection ends has to be cut off.
        """
        self.flush()
        self.broken_off()
        self._connection.break_off(flush=self._marked)

    def broken_off(self) -> None:
        """The response will not become complete: the connection has ended, or is about to."""
        self._over(complete=False)

    def _over(self, complete: bool) -> None:
        record, self.record = self.record, None
        if record is not None:
            record.over(complete)

    def switch(self, status: int, reason: bytes, fields: Fields) -> Half:
        """Write the 101 and leave HTTP."""
        self._out.append(b"HTTP/1.1 %d %b\r\n" % (status, reason))
        self._out += [b"%b: %b\r\n" % field for field in fields]
        self._out.append(b"\r\n")
        if self.record is not None:
            self.record.switched(status)
        self.flush()
        half: Half = self._connection.become_half()
        return half

    def pause_request(self) -> None:
        """Stop reading the connection."""
        self._connection.block(True)

    def resume_request(self, read: int = 0) -> None:
        """Read it again."""
        if read:
            widen(self.transport, read)
        self._connection.block(False)
