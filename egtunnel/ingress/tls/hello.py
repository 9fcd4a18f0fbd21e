"""Reads the server name out of a ClientHello, before any TLS library sees a byte (RFC 8446 section 4.1.2, RFC 6066)."""

from __future__ import annotations

from egtunnel.errors import EgtunnelError

__all__ = [
    "ACCESS_DENIED",
    "DECODE_ERROR",
    "INTERNAL_ERROR",
    "UNRECOGNIZED_NAME",
    "MalformedHello",
    "alert",
    "offered",
    "server_name",
]

HANDSHAKE = 22
ALERT = 21
CLIENT_HELLO = 1
SERVER_NAME = 0
HOST_NAME = 0
ALPN = 16
RECORD_HEAD = 5
MESSAGE_HEAD = 4
LONGEST_RECORD = 16_384 + 256
MOST_RECORDS = 16
"""A ClientHello in more records is meant to make work: all of them are looked at with each piece that comes."""
HANDSHAKE_FAILURE = 40
ACCESS_DENIED = 49
DECODE_ERROR = 50
INTERNAL_ERROR = 80
UNRECOGNIZED_NAME = 112
"""Alerts (RFC 8446 section 6)."""


class MalformedHello(EgtunnelError):
    """The first bytes of a TLS connection are not a ClientHello."""

    word = "bad-client-hello"


def alert(description: int) -> bytes:
    """A fatal alert as a record of its own, as it is sent before there are keys."""
    return bytes((ALERT, 3, 3, 0, 2, 2, description))


def server_name(data: bytes, longest: int) -> str | None:
    """The host name of the server_name extension, in lower case; "" where there is none; None: more bytes are needed.

    ``data``: all bytes of the connection so far; ``longest``: how many a ClientHello may have. Raises MalformedHello.
    """
    message = _message(data, longest)
    if message is None:
        return None
    try:
        return _name(_extensions(message))
    except (IndexError, UnicodeDecodeError):
        raise MalformedHello("a ClientHello that ends too soon") from None


def offered(data: bytes, longest: int) -> tuple[bytes, ...]:
    """The protocols that a whole ClientHello offers by ALPN (RFC 7301 section 3.1), the best first.

    Raises MalformedHello, also where bytes are missing.
    """
    try:
        protocols = _Bytes(_Bytes(_extension(_extensions(_message(data, longest) or b""), ALPN)).block(2))
        found = []
        while protocols:
            found.append(protocols.block(1))
    except IndexError:
        raise MalformedHello("a ClientHello that ends too soon") from None
    return tuple(found)


def _message(data: bytes, longest: int) -> bytes | None:
    """The body of the first handshake message, which may be spread over records (RFC 8446 section 5.1)."""
    message, offset, records = b"", 0, 0
    while offset + RECORD_HEAD <= len(data):
        length = int.from_bytes(data[offset + 3 : offset + 5], "big")
        if data[offset] != HANDSHAKE or data[offset + 1] != 3 or not 0 < length <= LONGEST_RECORD:
            raise MalformedHello("the first record is not of a handshake")
        message += data[offset + RECORD_HEAD : offset + RECORD_HEAD + length]
        offset += RECORD_HEAD + length
        records += 1
        if records > MOST_RECORDS:
            raise MalformedHello("a ClientHello in too many records")
        if message[0:1] not in (b"", bytes((CLIENT_HELLO,))):
            raise MalformedHello("the first message is not a ClientHello")
        if len(message) >= MESSAGE_HEAD:
            size = int.from_bytes(message[1:4], "big")
            if size > longest:
                raise MalformedHello(f"a ClientHello of {size} bytes")
            if len(message) >= MESSAGE_HEAD + size:
                return message[MESSAGE_HEAD : MESSAGE_HEAD + size]
    return None


class _Bytes:
    """Reads what is preceded by its length; raises IndexError where bytes are missing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise IndexError
        self._at += size
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> bytes:
        return self.take(self.number(size))


def _extensions(message: bytes) -> bytes:
    reader = _Bytes(message)
    reader.take(2 + 32)  # version, random
    reader.block(1)  # session id
    reader.block(2)  # cipher suites
    reader.block(1)  # compression methods
    return reader.block(2) if reader else b""


def _extension(extensions: bytes, wanted: int) -> bytes:
    """What one of them holds; an empty list where it is not there."""
    reader = _Bytes(extensions)
    while reader:
        kind, body = reader.number(2), reader.block(2)
        if kind == wanted:
            return body
    return bytes(2)


def _name(extensions: bytes) -> str:
    names = _Bytes(_Bytes(_extension(extensions, SERVER_NAME)).block(2))
    while names:
        kind, name = names.number(1), names.block(2)
        if kind == HOST_NAME:
            return name.decode("ascii").lower().rstrip(".")
    return ""
