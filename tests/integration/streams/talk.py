"""Small pieces of HTTP, said and heard by hand."""

from __future__ import annotations

import socket
from collections.abc import Callable

Serve = Callable[[socket.socket], None]
Share = Callable[[Serve], str]
PATIENCE = 120.0


def head_of(connection: socket.socket) -> bytes:
    """A request without a body, read byte by byte, so that the next one stays in the socket."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            raise ConnectionError("the connection ended")
        data += piece
    return data


def request(host: str, path: str = "/", method: str = "GET", version: str = "1.1", extra: str = "") -> bytes:
    """The bytes of a request without a body."""
    return f"{method} {path} HTTP/{version}\r\nHost: {host}\r\n{extra}\r\n".encode()
