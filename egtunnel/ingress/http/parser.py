"""What requests and responses have in common for the parser: thin over llhttp, which does all the parsing.

Facts of httptools 0.9 that shape this: trailers come as headers after ``on_headers_complete``; an upgrade is
an exception with the offset of what follows; a response parser cannot be told that the request was HEAD, nor of the end
of the connection; making a parser costs less than a quarter of a microsecond, so each message may have its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from egtunnel.ingress.http.headers import Fields

__all__ = ["END", "End", "Event", "Reader"]

CHUNK_ALLOWANCE = 16
"""Bytes of a chunked body that one chunk may take beside its data: size line and line ends."""


class End:
    """The end of a message, with its trailers."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: Fields) -> None:
        self.trailers = trailers


END = End([])
Event = object
"""A RequestHead, ResponseHead, Refusal or End, or the bytes of a body."""


class Reader:
    """Turns bytes into events; a base class for both directions.

    A body with a known length goes past the parser once its head has been read: its bytes are only counted. What a
    chunked body may cost beside its data is limited by ``overhead``, its trailers by their number too.
    """

    __slots__ = (
        "_add",
        "_begun",
        "_chunks",
        "_events",
        "_fed",
        "_fields",
        "_got",
        "_in_head",
        "_overhead",
        "_parser",
        "_remaining",
        "_trailers",
    )

    def __init__(self, overhead: int, trailers: int) -> None:
        self._overhead = overhead
        self._trailers = trailers
        self._parser: Any = None
        self._add: Callable[[Event], None]
        self._remaining = 0
        self._begin()

    def _begin(self) -> None:
        self._fields: Fields = []
        self._in_head = True
        self._begun = False
        self._fed = self._got = self._chunks = 0

    # -- called by httptools

    def on_message_begin(self) -> None:
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_body(self, data: bytes) -> None:
        self._got += len(data)
        self._add(data)

    def on_chunk_header(self) -> None:
        self._chunks += 1

    # --

    def _count(self, data: bytes) -> bytes:
        """Pass on what belongs to a body of known length; the rest is returned."""
        size = len(data)
        if size < self._remaining:
            self._remaining -= size
            self._add(data)
            return b""
        here, rest = data[: self._remaining], data[self._remaining :]
        self._remaining = 0
        self._add(here)
        self._add(END)
        self._counted()
        return rest

    def _counted(self) -> None:
        """A body of known length is over; the parser has not seen the end of it."""
        raise NotImplementedError

    def _end_of_chunks(self) -> End:
        """The end of a message that the parser has read; its trailers if it has any."""
        if not self._fields:
            return END
        if len(self._fields) > self._trailers:
            raise self._fault("The body has too many trailers.")
        if sum(len(name) + len(value) + 4 for name, value in self._fields) > self._overhead:
            raise self._fault("The trailers are too large.")
        return End(self._fields)

    def _check_chunks(self) -> None:
        """After a feed that did not end a chunked body: extensions and trailers may not grow without end."""
        if self._fed - self._got - CHUNK_ALLOWANCE * (self._chunks + 1) > self._overhead:
            raise self._fault("The chunks of the body have too much beside their data.")

    def _fault(self, text: str) -> Exception:
        raise NotImplementedError
