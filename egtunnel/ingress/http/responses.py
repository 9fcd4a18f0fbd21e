"""Reads the responses of one upstream connection, one at a time."""

from __future__ import annotations

import httptools
from httptools.parser.errors import HttpParserCallbackError, HttpParserError

from egtunnel.errors import UpstreamBroke
from egtunnel.ingress.http.head import ResponseHead, read_response
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.parser import END, Event, Reader

__all__ = ["ResponseReader"]


class ResponseReader(Reader):
    """Bytes in; informational heads, the final head, pieces of its body and the end out, in order.

    Everything that cannot be read raises UpstreamBroke. ``clean`` is false once anything came that the response does
    not account for; ``complete`` says that its end was read; ``rest`` is what followed a 101.
    """

    __slots__ = (
        "_domain",
        "_head",
        "_informational",
        "_limits",
        "_status",
        "_to_head",
        "_unused",
        "clean",
        "complete",
        "rest",
    )

    def __init__(self, limits: HTTPLimits, domain: str) -> None:
        self._limits = limits
        self._domain = domain
        self._head: ResponseHead | None = None
        self._unused = False
        super().__init__(limits.overhead, limits.trailers)
        self.expect(to_head=False)

    def expect(self, to_head: bool) -> None:
        """A new response is to come; to a HEAD request it has no body, whatever it says."""
        if not self._unused:
            self._parser = httptools.HttpResponseParser(self)
            self._unused = True
        self._to_head = to_head
        self._head = None
        self._status = b""
        self._informational = 0
        self._remaining = 0
        self._begin()
        self.clean = True
        self.complete = False
        self.rest = b""

    def close(self) -> None:
        """Read nothing more."""
        self._parser = None  # it holds on to us

    def feed(self, data: bytes) -> list[Event]:
        """What ``data`` brings. Raises UpstreamBroke."""
        events: list[Event] = []
        self._add = events.append
        head = self._head
        if self._remaining:
            if self._count(data):
                self.clean = False
        elif self.complete:
            self.clean = False
        elif head is not None and head.to_close:
            events.append(data)
        else:
            self._parse(data)
        return events

    def end(self) -> bool:
        """The connection has ended: whether that completes the response."""
        if self._head is not None and self._head.to_close and not self.complete:
            self.complete = True
            return True
        return False

    def _parse(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.rest = data[upgrade.args[0] :]
        except HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except HttpParserError as error:
            if not self.complete:
                raise UpstreamBroke(f"the response is malformed: {error}") from None
            self.clean = False
        if self.complete:
            self.clean = self.clean and not self._begun
        elif self._in_head:
            if self._fed > self._limits.response_head:
                raise UpstreamBroke("the head of the response is too large")
        elif self._head is not None:
            self._check_body(self._head)

    def _check_body(self, head: ResponseHead) -> None:
        if head.chunked:
            self._check_chunks()
        elif not head.to_close:
            self._remaining = (head.length or 0) - self._got

    def _fault(self, text: str) -> UpstreamBroke:
        return UpstreamBroke(text)

    def _counted(self) -> None:
        self.complete = True

    # -- called by httptools

    def on_message_begin(self) -> None:
        self._begun = True
        self._unused = False

    def on_status(self, reason: bytes) -> None:
        self._status += reason

    def on_headers_complete(self) -> None:
        if self.complete:
            self.clean = False  # a second response to one request
            return
        parser, fields, limits = self._parser, self._fields, self._limits
        if len(fields) > limits.response_headers or (self._fed > limits.response_head and self._too_large()):
            raise UpstreamBroke("the head of the response is too large")
        head = read_response(
            parser.get_status_code(),
            self._status,
            parser.get_http_version(),
            parser.should_keep_alive(),
            fields,
            to_head=self._to_head,
            domain=self._domain,
        )
        self._status = b""
        self._fields = []
        self._add(head)
        if head.status >= 200 or head.status == 101:
            self._final(head)
        else:
            self._informational += 1
            if self._informational > limits.informational:
                raise UpstreamBroke("there are too many informational responses")

    def _final(self, head: ResponseHead) -> None:
        self._head = head
        self._in_head = False
        self._fed = self._got = 0
        if head.bodiless:
            self.complete = True  # the parser may think otherwise
            self._begun = False
            if head.status != 101:
                self._add(END)

    def on_body(self, data: bytes) -> None:
        if self.complete:
            self.clean = False
        else:
            super().on_body(data)

    def on_chunk_header(self) -> None:
        if self.complete:
            self.clean = False
        else:
            super().on_chunk_header()

    def on_message_complete(self) -> None:
        if self._head is None:
            self._begin()  # an informational response; the next head follows
        elif not self.complete:
            self.complete = self._unused = True  # the parser has seen all of it, and is ready for the next one
            self._begun = False
            self._add(self._end_of_chunks())

    def _too_large(self) -> bool:
        return sum(len(name) + len(value) + 4 for name, value in self._fields) > self._limits.response_head
