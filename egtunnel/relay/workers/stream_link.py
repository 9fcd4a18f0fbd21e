"""A link over a stream that is nobody else's, a UNIX socket between two workers: frames without a WebSocket around."""

from __future__ import annotations

import socket
from collections.abc import Callable
from struct import Struct
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import READ, widen, write_now
from egtunnel.interfaces import ILink
from egtunnel.session.producer import LinkProducer

__all__ = ["StreamLink", "adopt_stream"]

HEAD = Struct("!BI")
"""What it is, and how many bytes of it follow."""
MESSAGE, CLOSE, ADMITTED = range(3)
CODE = Struct("!H")
LONGEST = 4 << 20
"""Bytes of a message: more than any link has."""


@implementer(ILink, IPushProducer)
class StreamLink(LinkProducer, Protocol):
    """One end; both are of the same relay.

    ``on_admitted``, ``on_close(code, text)``: what the far end has been told with ``admitted`` and ``close``.
    """

    kind = "another worker's"
    stream = True  # what comes over a bare link goes on as it came

    def __init__(self, peer: str, secure: bool = True) -> None:
        self.peer = peer
        self.secure = secure
        self.on_admitted: Callable[[], None] = lambda: None
        self.on_close: Callable[[int, str], None] = self._closed
        self._data = b""
        self._missing = 0

    # -- ILink

    def admitted(self) -> None:
        """Have the far end told."""
        self._say(ADMITTED, b"")

    def send(self, frames: list[bytes | memoryview]) -> None:
        """One message."""
        size = sum(map(len, frames))
        write_now(self.transport, b"".join((HEAD.pack(MESSAGE, size), *frames)))

    def close(self, code: int, text: str) -> None:
        """Have the far end told, and end."""
        self.receiver = None
        self._say(CLOSE, CODE.pack(code) + text.encode())
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """End at once."""
        self.receiver = None
        self.transport.abortConnection()

    # -- Protocol

    def connectionMade(self) -> None:
        """Connected."""
        widen(self.transport, READ)
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of messages."""
        self._data = data = self._data + data if self._data else data
        if len(data) < self._missing:
            return
        start, self._missing = 0, 0
        while len(data) - start >= HEAD.size:
            kind, size = HEAD.unpack_from(data, start)
            stop = start + HEAD.size + size
            if size > LONGEST:
                self.transport.abortConnection()
                return
            if stop > len(data):
                self._missing = stop - start
                break
            self._take(kind, data[start + HEAD.size : stop])
            start = stop
        self._data = data[start:]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The far end is gone."""
        self._gone("the other worker closed it")

    # --

    def _say(self, kind: int, data: bytes) -> None:
        self.transport.write(HEAD.pack(kind, len(data)) + data)

    def _take(self, kind: int, data: bytes) -> None:
        if kind == MESSAGE:
            if self.receiver is not None:
                self.receiver.link_message(data)
        elif kind == ADMITTED:
            self.on_admitted()
        elif kind == CLOSE and len(data) >= CODE.size:
            self.on_close(CODE.unpack_from(data)[0], data[CODE.size :].decode("utf-8", "replace"))

    def _closed(self, code: int, text: str) -> None:
        self._gone(text)

    def _gone(self, reason: str) -> None:
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.link_lost(reason)


def adopt_stream(reactor: Any, channel: socket.socket, link: StreamLink) -> StreamLink:
    """Put the link at a connected UNIX socket, which becomes its own."""
    with channel:
        channel.setblocking(False)
        factory = ServerFactory.forProtocol(lambda: link)
        factory.noisy = False
        reactor.adoptStreamConnection(channel.fileno(), socket.AF_UNIX, factory)
    return link
