"""Services behind the tunnels of a scene: HTTP, bare TCP, WebSocket. Each tells what it got."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import socket
from struct import pack, unpack
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

from tests.integration.faults.streams import pattern
from tests.integration.transfers import Body, Chunks, read_digest

__all__ = ["Pages", "Raw", "push", "small", "websocket"]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
BINARY, CLOSE = 2, 8
IDLE = 120.0
"""Seconds after which a service gives a silent visitor up."""


def small(number: int) -> bytes:
    """The answer to ``GET /small?number=N``."""
    return b"%d " % number + hashlib.sha256(b"%d" % number).hexdigest().encode() * (number % 50)


def push(number: int) -> bytes:
    """The message that the WebSocket service says of itself after the visitor's message of this number."""
    return b"push %d " % number + b"p" * (number * 37 % 3000)


class Pages(http.server.BaseHTTPRequestHandler):
    """``/down?seed=&size=&chunked=``: a pattern. ``/small?number=``. PUT and POST: digest and size of what came."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
        if url.path == "/small":
            self._answer(small(asked["number"]))
            return
        chunked = bool(asked.get("chunked"))
        self.send_response(200)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(asked["size"]))
        self.end_headers()
        for piece in pattern(asked["seed"], asked["size"]):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def do_PUT(self) -> None:
        length = self.headers["Content-Length"]
        digest, size = read_digest(Chunks(self.rfile) if length is None else Body(self.rfile, int(length)))
        if length is not None and size != int(length):
            self.close_connection = True  # the visitor was cut; nobody hears an answer
            return
        self._answer(f"{digest} {size}".encode())

    do_POST = do_PUT

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the tunnel was cut; the visitor's side is what is looked at
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class Raw:
    """Bare TCP. A line tells what to do. ``D seed size``: send it. ``H seed size coming``: hear everything, tell digest
    and size in a line, then send it. ``E``: say it back while it comes.

    ``short``: streams that ended in order before all that was coming had come, which nobody may be told.
    """

    def __init__(self) -> None:
        self.short: list[str] = []

    def __call__(self, connection: socket.socket) -> None:
        connection.settimeout(IDLE)
        with connection.makefile("rb") as stream:
            order, *numbers = stream.readline().decode().split() or [""]
            if not order:
                return  # the visitor's relay was killed before it said anything
            if order == "E":
                while data := stream.read1(65_536):
                    connection.sendall(data)
                return
            if order == "H":
                digest, size = read_digest(stream)
                if size != int(numbers[2]):
                    self.short.append(f"the service heard an orderly end after {size} of {numbers[2]} bytes")
                connection.sendall(f"{digest} {size}\n".encode())
            for piece in pattern(int(numbers[0]), int(numbers[1])):
                connection.sendall(piece)


def websocket(connection: socket.socket) -> None:
    """An echo of every message, and after each a message of its own with the same number."""
    connection.settimeout(IDLE)
    with connection.makefile("rb") as stream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return
            head += line
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        assert fields[b"upgrade"] == b"websocket"
        key = next(line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: "))
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        number = 0
        while True:
            opcode, payload = _frame(stream)
            connection.sendall(_head(opcode, len(payload)) + payload)
            if opcode == CLOSE:
                connection.shutdown(socket.SHUT_WR)
                return
            own = push(number)
            connection.sendall(_head(BINARY, len(own)) + own)
            number += 1


def _frame(stream: BinaryIO) -> tuple[int, bytes]:
    first, length = _exactly(stream, 2)
    length &= 0x7F
    if length == 126:
        (length,) = unpack("!H", _exactly(stream, 2))
    elif length == 127:
        (length,) = unpack("!Q", _exactly(stream, 8))
    mask = _exactly(stream, 4)
    pad = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    payload = _exactly(stream, length)
    return first & 0x0F, (int.from_bytes(payload, "big") ^ pad).to_bytes(length, "big")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ConnectionError("the visitor is gone")
    return data


def _head(opcode: int, length: int) -> bytes:
    if length < 126:
        return bytes((0x80 | opcode, length))
    if length < 65_536:
        return pack("!BBH", 0x80 | opcode, 126, length)
    return pack("!BBQ", 0x80 | opcode, 127, length)
