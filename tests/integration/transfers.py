"""Large bodies for tests: made and checked block by block, never held; and what they cost a daemon in memory."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tests.integration.daemons import Daemon

__all__ = [
    "MIB",
    "PIECE",
    "Body",
    "Chunks",
    "Sized",
    "WebService",
    "blocks",
    "growth",
    "raw_service",
    "read_digest",
    "sha256_of_blocks",
]

MIB = 1 << 20
PIECE = 1 << 18
"""What is read in one go."""
_BLOCK = hashlib.shake_256(b"egtunnel").digest(MIB)


class Sized(Protocol):
    """Something to read from."""

    def read(self, size: int, /) -> bytes: ...


def blocks(count: int) -> Iterator[bytes]:
    """``count`` blocks of 1 MiB; no two are alike, so that a lost or doubled one shows."""
    for number in range(count):
        yield number.to_bytes(8, "big") + _BLOCK[8:]


def sha256_of_blocks(count: int) -> str:
    """The digest of all of them, hex."""
    digest = hashlib.sha256()
    for block in blocks(count):
        digest.update(block)
    return digest.hexdigest()


def read_digest(source: Sized) -> tuple[str, int]:
    """The digest of everything up to the end, and how much it was."""
    digest, size = hashlib.sha256(), 0
    while piece := source.read(PIECE):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


class Chunks:
    """The body of a chunked request (RFC 9112 section 7.1), read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._left = 0
        self._over = False

    def read(self, size: int, /) -> bytes:
        if not self._left and not self._over:
            self._left = int(self._stream.readline().split(b";")[0], 16)
            self._over = not self._left
            if self._over:
                self._stream.readline()
        piece: bytes = self._stream.read(min(size, self._left))
        self._left -= len(piece)
        if piece and not self._left:
            self._stream.readline()
        return piece


class Body:
    """A body of known length."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int, /) -> bytes:
        piece: bytes = self._stream.read(min(size, self._left))
        self._left -= len(piece)
        return piece


class _Blocks(http.server.BaseHTTPRequestHandler):
    """GET ``/sized/N`` or ``/chunked/N``: N blocks. POST: the digest and framing of what came."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, framing, count = self.path.split("/")
        self.send_response(200)
        if framing == "sized":
            self.send_header("Content-Length", str(int(count) * MIB))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for block in blocks(int(count)):
            if framing == "sized":
                self.wfile.write(block)
            else:
                self.wfile.write(b"%x\r\n" % len(block))
                self.wfile.write(block)
                self.wfile.write(b"\r\n")
        if framing != "sized":
            self.wfile.write(b"0\r\n\r\n")

    def do_POST(self) -> None:
        length = self.headers["Content-Length"]
        body = Chunks(self.rfile) if length is None else Body(self.rfile, int(length))
        digest, size = read_digest(body)
        answer = f"{digest} {size} {'chunked' if length is None else 'sized'}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class WebService(http.server.ThreadingHTTPServer):
    """A web service of the standard library in threads of this process."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, pages: type[http.server.BaseHTTPRequestHandler] = _Blocks) -> None:
        super().__init__(("127.0.0.1", 0), pages)
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def raw_service(connection: socket.socket) -> None:
    """The same without HTTP. ``D`` and a count: blocks, then the end. ``U``: a digest of what comes until the end."""
    with connection.makefile("rb") as stream:
        order = stream.readline().decode().split()
        if order[0] == "D":
            for block in blocks(int(order[1])):
                connection.sendall(block)
        else:
            digest, size = read_digest(stream)
            connection.sendall(f"{digest} {size}".encode())


@contextlib.contextmanager
def growth(*daemons: Daemon) -> Iterator[dict[str, int]]:
    """Filled when the block is over: by how much the peak in it lay above what each daemon held before, bytes."""
    before = {}
    for daemon in daemons:
        Path(f"/proc/{daemon.pid}/clear_refs").write_text("5")  # the peak starts anew
        before[daemon] = daemon.memory()
    grown: dict[str, int] = {}
    yield grown
    for daemon in daemons:
        grown[type(daemon).__name__] = max(0, daemon.peak_memory() - before[daemon])
