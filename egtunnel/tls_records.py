"""TLS records sealed and opened many at a time: all that reaches below pyOpenSSL.

pyOpenSSL makes a call, a buffer and an exception of every record and of every look into an empty one. Here 16 records
are one call to seal, and one call each to open, into one buffer that all connections share. What of pyOpenSSL this
needs is no public interface: where it is missing, the public calls do the same, slower.

Buffers are shared, so all of this is for the thread of the reactor, and what ``drain`` gives is to be used at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from OpenSSL import SSL
from OpenSSL.SSL import Connection, Error, WantReadError, ZeroReturnError

__all__ = ["PIECE", "PUBLIC", "RECORD", "RECORDS", "Records"]

RECORD = 16_384
"""The most that one TLS record carries, bytes (RFC 8446 section 5.1)."""
PIECE = 16 * RECORD
"""Bytes to be sealed at once at most: so many are kept twice for a moment."""
_ROOM = PIECE + 16 * 256
"""What they make on the wire at most: each record adds less than 256 bytes (RFC 8446 section 5.2)."""

_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)


@attrs.frozen
class Records:
    """``prepare`` each connection first. ``seal`` takes so many bytes of its data; raises as ``Connection.send``.

    ``unseal`` gives what can be read, and the error that ends the connection if there is one. ``drain`` gives what is
    to be sent, in pieces.
    """

    prepare: Callable[[Connection], None]
    seal: Callable[[Connection, bytes | memoryview], int]
    unseal: Callable[[Connection], tuple[bytes, Exception | None]]
    drain: Callable[[Connection], Iterator[Any]]


def _unseal_publicly(connection: Connection) -> tuple[bytes, Exception | None]:
    got: list[bytes] = []
    try:
        while True:
            got.append(connection.recv(RECORD))
    except WantReadError:
        return b"".join(got), None
    except (ZeroReturnError, Error) as error:
        return b"".join(got), error


def _drain_publicly(connection: Connection) -> Iterator[Any]:
    try:
        while True:
            yield connection.bio_read(_ROOM)
    except WantReadError:
        return


PUBLIC = Records(
    lambda connection: None,
    lambda connection, data: connection.send(data),
    _unseal_publicly,
    _drain_publicly,
)


def _direct() -> Records:
    """Raises AttributeError where pyOpenSSL is made otherwise."""
    read, write, why, clear_mode = _lib.SSL_read, _lib.SSL_write, _lib.SSL_get_error, _lib.SSL_clear_mode
    bio_read, want_read, partial = _lib.BIO_read, _lib.SSL_ERROR_WANT_READ, _lib.SSL_MODE_ENABLE_PARTIAL_WRITE
    from_buffer, view = _ffi.from_buffer, _ffi.buffer
    inward, outward = _ffi.new("char[]", _ROOM), _ffi.new("char[]", _ROOM)
    for name in ("_ssl", "_from_ssl", "_raise_ssl_error"):
        getattr(Connection(SSL.Context(SSL.TLS_METHOD)), name)

    def prepare(connection: Any) -> None:
        clear_mode(connection._ssl, partial)  # or each call would seal one record only

    def seal(connection: Any, data: bytes | memoryview) -> int:
        ssl, size = connection._ssl, len(data)
        result: int = write(ssl, from_buffer(data), size)
        if result != size:
            connection._raise_ssl_error(ssl, result)
        return result

    def unseal(connection: Any) -> tuple[bytes, Exception | None]:
        ssl, got = connection._ssl, 0
        full: list[bytes] = []
        while (result := read(ssl, inward + got, _ROOM - got)) > 0:
            got += result
            if _ROOM - got < RECORD:
                full.append(view(inward, got)[:])
                got = 0
        data: bytes = view(inward, got)[:]
        error = None if why(ssl, result) == want_read else _error_of(connection, result)
        return (b"".join([*full, data]) if full else data), error

    def drain(connection: Any) -> Iterator[Any]:
        wire = connection._from_ssl
        while (size := bio_read(wire, outward, _ROOM)) > 0:
            yield view(outward, size)

    return Records(prepare, seal, unseal, drain)


def _error_of(connection: Any, result: int) -> Exception | None:
    try:
        connection._raise_ssl_error(connection._ssl, result)
    except WantReadError:
        return None
    except (ZeroReturnError, Error) as error:
        return error
    return None


try:
    RECORDS = _direct()
except AttributeError:
    RECORDS = PUBLIC
