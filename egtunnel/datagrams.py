"""Datagrams over a channel: each with its length before it; what finds no room waits in a short queue, newest last.

A link is one stream, so nothing is lost or overtaken on it. Who sends more than it carries loses the oldest that wait:
that is what a network would do, and what programs that use datagrams expect.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from twisted.internet.interfaces import IPushProducer, IReadDescriptor
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.errors import RemoteProtocolError

__all__ = ["LONGEST", "DatagramLimits", "DatagramSocket", "Flow", "Queues", "Reassembly", "framed", "widen_buffers"]

LONGEST = 65_507
"""Bytes of the longest datagram that IPv4 carries (RFC 768, RFC 791)."""
HEAD = struct.Struct("!H")
OVERHEAD = 64
"""Bytes that a datagram costs beside its own."""
TURN = 128
"""Datagrams that are taken at once before others have their turn; or as many bytes as this:"""
TURN_BYTES = 262_144
FORCED = 33, 32
"""SO_RCVBUFFORCE and SO_SNDBUFFORCE (socket(7)): more than the machine's usual limit, for who may."""


@attrs.frozen
class DatagramLimits:
    """``queue``: bytes of datagrams that wait for one visitor's channel, ``memory``: for all together.

    ``buffer``: bytes that the kernel is asked to keep for a socket.
    """

    queue: int = 1_048_576
    memory: int = 64 * 1_048_576
    buffer: int = 4 * 1_048_576


class Reassembly:
    """Datagrams again, of bytes that come in any pieces."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Those that are complete. Raises RemoteProtocolError for one that no network carries."""
        if self._rest:
            data = self._rest + data
        found, at, end = [], 0, len(data)
        while end - at >= HEAD.size:
            (size,) = HEAD.unpack_from(data, at)
            if size > LONGEST:
                raise RemoteProtocolError(f"a datagram of {size} bytes")
            following = at + HEAD.size + size
            if following > end:
                break
            found.append(data[at + HEAD.size : following])
            at = following
        self._rest = data[at:]
        return found


def framed(datagrams: Iterable[bytes]) -> bytes:
    """As they go over a channel."""
    return b"".join([piece for datagram in datagrams for piece in (HEAD.pack(len(datagram)), datagram)])


@attrs.define
class Queues:
    """What all queues of one side hold together, bytes, and how many datagrams were dropped for want of room."""

    limits: DatagramLimits
    held: int = 0
    dropped: int = 0


@implementer(IPushProducer)
class Flow(Protocol):
    """One visitor's datagrams, at one end of a channel; before it is connected they wait.

    :param queues: shared by all flows of one side.
    :param received: told of the datagrams that came, in order. ``lost``: that it is over.
    """

    def __init__(
        self, queues: Queues, received: Callable[[list[bytes]], None], lost: Callable[[Failure], None]
    ) -> None:
        self._queues = queues
        self._received = received
        self._lost = lost
        self._full = True
        self._over = False
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._reassembly = Reassembly()

    def send(self, datagrams: Sequence[bytes]) -> None:
        """Send these, or have them wait; the oldest that wait make room for them."""
        if not self._full:
            self.transport.write(framed(datagrams))  # type: ignore[union-attr]
        elif not self._over:
            for datagram in datagrams:
                self._wait(datagram)

    def connectionMade(self) -> None:
        """There is a channel."""
        transport: Any = self.transport
        self._full = False
        transport.registerProducer(self, True)
        self._drain()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the channel."""
        try:
            datagrams = self._reassembly.feed(data)
        except RemoteProtocolError:
            self.close()
            return
        if datagrams:
            self._received(datagrams)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The channel is over."""
        self._end()
        self._lost(reason)

    def close(self) -> None:
        """No more of this."""
        transport: Any = self.transport
        self._end()
        if transport is not None:
            transport.abortConnection()

    # -- IPushProducer

    def pauseProducing(self) -> None:
        """The channel is full."""
        self._full = True

    def resumeProducing(self) -> None:
        """It is not any more."""
        self._full = False
        self._drain()

    def stopProducing(self) -> None:
        """It is over."""
        self._full = True

    # --

    def _wait(self, datagram: bytes) -> None:
        queues, size = self._queues, len(datagram) + OVERHEAD
        self._queue.append(datagram)
        self._size += size
        queues.held += size
        while self._queue and (self._size > queues.limits.queue or queues.held > queues.limits.memory):
            self._forget(self._queue.popleft())
            queues.dropped += 1

    def _forget(self, datagram: bytes) -> None:
        self._size -= len(datagram) + OVERHEAD
        self._queues.held -= len(datagram) + OVERHEAD

    def _drain(self) -> None:
        while self._queue and not self._full:
            datagrams, size = [], 0
            while self._queue and size < TURN_BYTES:
                datagram = self._queue.popleft()
                self._forget(datagram)
                datagrams.append(datagram)
                size += len(datagram)
            self.transport.write(framed(datagrams))  # type: ignore[union-attr]

    def _end(self) -> None:
        self._over = self._full = True
        while self._queue:
            self._forget(self._queue.popleft())


def widen_buffers(udp: socket.socket, size: int) -> None:
    """Have the kernel keep so many bytes for a socket in each direction, or as many as it may."""
    for usual, forced in zip((socket.SO_RCVBUF, socket.SO_SNDBUF), FORCED, strict=True):
        with contextlib.suppress(OSError):
            udp.setsockopt(socket.SOL_SOCKET, usual, size)
        with contextlib.suppress(OSError):
            udp.setsockopt(socket.SOL_SOCKET, forced, size)


@implementer(IReadDescriptor)
class DatagramSocket:
    """A UDP socket in the reactor; many datagrams are read in one turn and told together.

    :param udp: becomes ours.
    :param received: told of datagrams and their senders. ``failed``: of an error of the socket, which goes on.
    :ivar dropped: datagrams that the kernel did not take.
    """

    def __init__(
        self,
        reactor: Any,
        udp: socket.socket,
        received: Callable[[list[tuple[bytes, Any]]], None],
        failed: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        udp.setblocking(False)
        self.dropped = 0
        self._reactor = reactor
        self._udp = udp
        self._received = received
        self._failed = failed

    def send(self, datagrams: Iterable[bytes], address: Any = None) -> None:
        """Send each at once, or not at all; ``address``: None where the socket is connected."""
        udp = self._udp
        for datagram in datagrams:
            try:
                if address is None:
                    udp.send(datagram)
                else:
                    udp.sendto(datagram, address)
            except BlockingIOError:
                self.dropped += 1
            except OSError as error:
                self.dropped += 1
                self._failed(error)

    def startReading(self) -> None:
        """Take what comes."""
        if self.fileno() >= 0:
            self._reactor.addReader(self)

    def stopReading(self) -> None:
        """Leave it in the kernel."""
        self._reactor.removeReader(self)

    def stopListening(self) -> None:
        """No more; another process may have the same socket still."""
        self.stopReading()
        self._udp.close()

    # -- IReadDescriptor

    def fileno(self) -> int:
        """For the reactor; -1 once it is closed."""
        return self._udp.fileno()

    def logPrefix(self) -> str:
        """For the log."""
        return "udp"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends, or takes an error of the socket for its end: what was sent met nobody. Then it goes on."""
        error = self._udp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if self.fileno() >= 0 else 0
        if error:
            self._failed(OSError(error, os.strerror(error)))
            self.startReading()
        else:
            self.stopListening()

    def doRead(self) -> None:
        """Take all that is there, as far as a turn goes."""
        found: list[tuple[bytes, Any]] = []
        size, receive = 0, self._udp.recvfrom
        try:
            while size < TURN_BYTES and len(found) < TURN:
                each = receive(65_535)
                size += len(each[0])
                found.append(each)
        except BlockingIOError:
            pass
        except OSError as error:  # what an earlier datagram met: nobody listens there
            self._failed(error)
        if found:
            self._received(found)
