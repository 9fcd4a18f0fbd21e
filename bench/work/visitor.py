"""One visitor with one keep-alive connection, on a raw socket, so that little but the tunnel is in the figure."""

from __future__ import annotations

import re
import socket
import ssl
import time
from functools import lru_cache
from pathlib import Path
from types import TracebackType

from bench.contenders.base import Running
from bench.errors import DidNotStart, WorkFailed
from bench.site import TLS_NAME, Site
from bench.upstream import ANSWER_BYTES

__all__ = ["Visitor", "answer_length", "wait_until_served"]

RECEIVE_BYTES = 65536
TIMEOUT_SECONDS = 20.0
SERVED_SECONDS = 20.0
HEAD_LIMIT = 16384
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)


def answer_length(head: bytes) -> int:
    """The length of a 200 answer from its head, with the blank line, in bytes.

    :raises WorkFailed: it is not a 200 with the upstream's own Content-Length
    """
    if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")):
        raise WorkFailed(f"answered {head.splitlines()[0][:80]!r}")
    match = CONTENT_LENGTH.search(head)
    if match is None or int(match.group(1)) != ANSWER_BYTES:
        raise WorkFailed(f"answered a body that is not the upstream's: {head[:200]!r}")
    return len(head) + ANSWER_BYTES


class Visitor:
    """Connects at once, from this ``address`` if one is given; asks when told to.

    :raises WorkFailed: from every method, when the connection breaks or the answer is wrong
    """

    def __init__(self, site: Site, timeout: float = TIMEOUT_SECONDS, address: str = "") -> None:
        self._request = site.request()
        try:
            self._socket = _connected(site, timeout, address)
        except OSError as error:
            raise WorkFailed(f"cannot connect: {error}") from error

    def __enter__(self) -> Visitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self) -> float:
        """Send one request and read the whole answer; return how long that took, seconds."""
        begin = time.perf_counter()
        try:
            self._socket.sendall(self._request)
            self._read_answer()
        except OSError as error:
            raise WorkFailed(f"a visitor's connection broke: {error}") from error
        return time.perf_counter() - begin

    def _read_answer(self) -> None:
        received = b""
        wanted = 0
        while not wanted or len(received) < wanted:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                raise WorkFailed(f"a visitor's connection was closed after {len(received)} bytes of an answer")
            received += data
            if not wanted:
                wanted = self._wanted(received)
        if len(received) > wanted:
            raise WorkFailed(f"an answer was {len(received) - wanted} bytes too long")

    def _wanted(self, received: bytes) -> int:
        end = received.find(b"\r\n\r\n")
        if end >= 0:
            return answer_length(received[: end + 4])
        if len(received) > HEAD_LIMIT:
            raise WorkFailed("an answer's head has no end")
        return 0


def _connected(site: Site, timeout: float, address: str) -> socket.socket:
    plain = socket.create_connection((site.address, site.port), timeout, (address, 0) if address else None)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if site.authority is None:
        return plain
    return _context(site.authority).wrap_socket(plain, server_hostname=TLS_NAME)


@lru_cache(maxsize=1)
def _context(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


def wait_until_served(running: Running, seconds: float = SERVED_SECONDS) -> None:
    """Wait until a visitor gets the upstream's answer through the contender.

    :raises DidNotStart: none did in time, or a program of the contender ended
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with Visitor(running.site, 2.0) as visitor:
                visitor.ask()
            return
        except WorkFailed as error:
            running.check()
            if time.monotonic() > deadline:
                raise DidNotStart(f"no answer through it within {seconds:g} s: {error}") from error
        time.sleep(0.05)
