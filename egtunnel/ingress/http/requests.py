"""Reads the requests of one connection."""

from __future__ import annotations

from collections import deque

import httptools
from httptools.parser.errors import HttpParserCallbackError, HttpParserError

from egtunnel.ingress.http.head import RequestHead, read_request
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.parser import Event, Reader
from egtunnel.ingress.http.refusals import Refusal, RequestRefused, bad_request

__all__ = ["RequestReader"]

_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
"""Makes a new parser expect chunks."""

TOO_LARGE = Refusal(431, "bad-request", "The head of the request is too large.")
URL_TOO_LONG = Refusal(414, "bad-request", "The request target is too long.")


class RequestReader(Reader):
    """Bytes in; heads, pieces of bodies and ends out, in order. What cannot be read ends in a Refusal, the last event.

    After the head of a request that wants an upgrade it stops: ``waiting`` is true, ``rest`` is what came behind that
    head, and ``go_on`` makes it read requests again.
    """

    __slots__ = ("_head", "_limits", "_url", "rest", "stopped", "waiting")

    def __init__(self, limits: HTTPLimits) -> None:
        super().__init__(limits.overhead, limits.trailers)
        self._limits = limits
        self._head: RequestHead | None = None
        self._url = b""
        self.rest = b""
        self.waiting = False
        self.stopped = False
        self._parser = httptools.HttpRequestParser(self)

    @property
    def within_head(self) -> bool:
        """Whether a head has begun and not ended."""
        return self._in_head and self._begun

    @property
    def within_body(self) -> bool:
        """Whether a body has begun and not ended."""
        return not self._in_head and not self.stopped

    def close(self) -> None:
        """Read nothing more."""
        self.stopped = True
        self._parser = None  # it holds on to us

    def go_on(self) -> None:
        """No upgrade came of it: what follows is the next request."""
        self.waiting = False
        self.rest = b""

    def feed(self, data: bytes, events: deque[Event]) -> None:
        """Read ``data``; what is found goes to the end of ``events``."""
        self._add = events.append
        while data:
            if self._remaining:
                data = self._count(data)
            elif self.stopped:
                return
            else:
                data = self._parse(data)

    def _parse(self, data: bytes) -> bytes:
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
            if self._in_head:
                self._check_head()
            elif self._head is not None and self._head.chunked:
                self._check_chunks()
            elif self._head is not None:  # a body of known length: from here on only counted
                self._remaining = (self._head.length or 0) - self._got
        except httptools.HttpParserUpgrade as upgrade:
            return self._upgraded(data[upgrade.args[0] :])
        except RequestRefused as refused:
            self._refuse(refused.refusal)
        except HttpParserCallbackError as error:
            self._refuse_for(error.__context__)
        except HttpParserError as error:
            if not (self.stopped and self._in_head):  # else: bytes behind a request that was to be the last
                self._refuse(bad_request(f"The request is malformed: {error}.").refusal)
        return b""

    def _refuse_for(self, error: BaseException | None) -> None:
        if not isinstance(error, RequestRefused):
            raise error or HttpParserError("a callback failed")
        self._refuse(error.refusal)

    def _refuse(self, refusal: Refusal) -> None:
        self.close()
        self._add(refusal)

    def _fault(self, text: str) -> RequestRefused:
        return bad_request(text)

    # -- called by httptools

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        parser, fields, limits = self._parser, self._fields, self._limits
        if len(self._url) > limits.target:
            raise RequestRefused(URL_TOO_LONG)
        if len(fields) > limits.headers or (self._fed > limits.header and self._too_large()):
            raise RequestRefused(TOO_LARGE)
        self._head = head = read_request(
            parser.get_method(), self._url, parser.get_http_version(), parser.should_keep_alive(), fields
        )
        self._fed = max(0, self._fed - self._size()) if head.chunked else 0  # what of this read is behind the head
        self._fields = []
        self._in_head = False
        self._got = 0
        self._add(head)

    def on_message_complete(self) -> None:
        head = self._head
        if head is None or (head.has_body and self._parser.should_upgrade()):
            return  # the parser left because of an upgrade that is not to be: the body is still to come
        self._add(self._end_of_chunks())
        self._message_over(head)

    def on_body_complete(self) -> None:
        """The end of a body whose head was read by another parser."""
        self._add(self._end_of_chunks())
        if self._head is not None:
            self._message_over(self._head)

    # --

    def _counted(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        if self._head is not None:
            self._message_over(self._head)

    def _message_over(self, head: RequestHead) -> None:
        if not head.keep_alive:
            self.stopped = True
        self._url = b""
        self._begin()

    def _size(self) -> int:
        """Of the head, all but exactly: blanks around values are not in it."""
        return len(self._url) + 20 + sum(len(name) + len(value) + 4 for name, value in self._fields)

    def _too_large(self) -> bool:
        longest = max((len(name) + len(value) for name, value in self._fields), default=0)
        return longest > self._limits.header or self._size() > self._limits.head

    def _check_head(self) -> None:
        """After a feed that left a head incomplete."""
        if len(self._url) > self._limits.target:
            raise RequestRefused(URL_TOO_LONG)
        if self._fed > self._limits.head:
            raise RequestRefused(TOO_LARGE)

    def _upgraded(self, rest: bytes) -> bytes:
        """The parser has left behind the head of a request that asked for an upgrade; gives what came after."""
        head = self._head
        self._parser = httptools.HttpRequestParser(self)
        if head is None or head.upgrade:
            self.waiting, self.rest = True, rest
            return b""
        if head.chunked:
            self._parser = httptools.HttpRequestParser(_Body(self))
            self._parser.feed_data(_CHUNKED_HEAD)
            self._fields = []
            head.keep_alive = False  # that parser reads no other request
        elif head.has_body:
            self._remaining = head.length or 0
        return rest


class _Body:
    """The callbacks of a parser that was shown another head, for the sake of one body; what follows it is not read."""

    def __init__(self, reader: RequestReader) -> None:
        self._reader = reader

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reader.on_header(name, value)

    def on_body(self, data: bytes) -> None:
        if not self._reader.stopped:
            self._reader.on_body(data)

    def on_chunk_header(self) -> None:
        self._reader.on_chunk_header()

    def on_message_complete(self) -> None:
        if not self._reader.stopped:
            self._reader.on_body_complete()
