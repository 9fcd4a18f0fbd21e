"""A visitor made by hand: it sends any bytes and reads what comes back, without a library that would put them right."""

from __future__ import annotations

import contextlib
import socket
import time

import attrs

from tests.integration.daemons import PATIENCE

__all__ = ["Answer", "Connection", "ask", "connect_many", "get"]


@attrs.frozen
class Answer:
    """A response: ``status`` is 0 if the connection ended without one."""

    status: int
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""

    @property
    def error(self) -> str:
        """The relay's own word for what is wrong, if it is the relay that answers."""
        return self.headers.get("x-egtunnel-error", "")


class Connection:
    """One connection of a visitor; blocking, with a deadline on every step; ``source``: its own address."""

    def __init__(self, port: int, timeout: float = PATIENCE, receive_buffer: int = 0, source: str = "") -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self._received = bytearray()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it, unless the other end has gone: what it said before is still to be read."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def finish(self) -> None:
        """Send no more."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65_536)
        except ConnectionError:
            return False
        self._received += data
        return bool(data)

    def answer(self, body: bool = True) -> Answer:
        """The next response, interim ones passed over; its body goes by Content-Length, by chunks, or to the end."""
        status, headers = 100, dict[str, str]()
        while status // 100 == 1 and status != 101:
            status, headers = self._head()
        if not status or not body or status in (101, 204, 304):
            return Answer(status, headers)
        return Answer(status, headers, self._body(headers))

    def _head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._received:
            if not self._more():
                assert not self._received, f"the connection ended within an answer: {self._received[:200]!r}"
                return 0, {}
        head = self._take(self._received.index(b"\r\n\r\n") + 4)[:-4]
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in fields}

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        if "content-length" in headers:
            return self._take(int(headers["content-length"]))
        return self.rest()

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            if not self._more():
                raise AssertionError(f"the connection ended {size - len(self._received)} bytes before the body")
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _chunks(self) -> bytes:
        body = b""
        while True:
            line = b""
            while not line.endswith(b"\r\n"):
                line += self._take(1)
            size = int(line.split(b";")[0], 16)
            piece = self._take(size + 2)[:size]
            if not size:
                return body
            body += piece

    def rest(self) -> bytes:
        """Everything up to the end of the connection. A TimeoutError if it does not end."""
        while self._more():
            pass
        return self._take(len(self._received))


def ask(port: int, request: bytes) -> Answer:
    """The answer to one request on a connection of its own."""
    with Connection(port) as visitor:
        visitor.send(request)
        return visitor.answer()


def get(port: int, host: str, path: str = "/") -> Answer:
    """The answer to a plain GET."""
    return ask(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())


def connect_many(stack: contextlib.ExitStack, port: int, count: int) -> list[Connection]:
    """Many connections, closed with the stack; an AssertionError if one is not taken in time."""
    deadline = time.monotonic() + PATIENCE
    connections = []
    for number in range(count):
        assert time.monotonic() < deadline, f"only {number} of {count} connections were taken"
        connections.append(stack.enter_context(Connection(port)))
    return connections
