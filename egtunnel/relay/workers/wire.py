"""What supervisor and worker say to each other: JSON objects, a line each, with descriptors, over a UNIX socket."""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["LONGEST_LINE", "MOST_WAITING", "Wire", "Words"]

LONGEST_LINE = 1 << 20
"""Bytes of one object; a claim with as many edits as it may have needs half of that."""
MOST_WAITING = 64 << 20
"""Bytes that wait for the far side; who reads nothing for so long is as good as dead."""
ONE_READ = 262_144
MOST_AT_ONCE = 253
"""Descriptors that Linux passes in one message."""

Words = dict[str, Any]
"""One object; ``type`` says what it is."""


@implementer(IReadWriteDescriptor)
class Wire:
    """One end. What is sent leaves at once where the socket takes it, in order, and never waits.

    :param channel: a connected stream socket of the family AF_UNIX; it becomes ours.
    :param received: told of each object, and of the sockets that came with it, which become its own.
    :param lost: told once that the far side is gone, or speaks something else.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        channel: socket.socket,
        received: Callable[[Words, list[socket.socket]], None],
        lost: Callable[[], None],
    ) -> None:
        channel.setblocking(False)
        self._reactor = reactor
        self._channel = channel
        self._received = received
        self._lost: Callable[[], None] | None = lost
        self._line = b""
        self._sockets: deque[socket.socket] = deque()
        self._waiting: deque[tuple[memoryview, list[int]]] = deque()
        self._size = 0
        reactor.addReader(self)

    def send(self, words: Words, sockets: Sequence[socket.socket] = ()) -> None:
        """Say something; the sockets stay the caller's, the far side gets copies."""
        if self._lost is None:
            return
        if sockets:
            words = {**words, "sockets": len(sockets)}
        data = memoryview(json.dumps(words, separators=(",", ":")).encode() + b"\n")
        self._waiting.append((data, [os.dup(each.fileno()) for each in sockets]))
        self._size += len(data)
        if len(self._waiting) > 1:
            if self._size > MOST_WAITING:
                self._break("it reads nothing")
        else:
            self.doWrite()

    def close(self) -> None:
        """End it; ``lost`` is not told."""
        if self._lost is None:
            return
        self._lost = None
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._channel.close()
        while self._sockets:
            self._sockets.popleft().close()
        while self._waiting:
            _close(self._waiting.popleft()[1])

    # -- IReadWriteDescriptor

    def fileno(self) -> int:
        """For the reactor; -1 once it is closed."""
        return self._channel.fileno()

    def logPrefix(self) -> str:
        """For the log."""
        return "wire"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has found it broken."""
        self._break(reason.getErrorMessage())

    def doWrite(self) -> None:
        """Send what waits."""
        while self._waiting:
            data, descriptors = self._waiting[0]
            try:
                sent = socket.send_fds(self._channel, [data], descriptors) if descriptors else self._channel.send(data)
            except BlockingIOError:
                self._reactor.addWriter(self)
                return
            except OSError as error:
                self._break(error.strerror or str(error))
                return
            _close(descriptors)
            self._size -= sent
            if sent < len(data):
                self._waiting[0] = (data[sent:], [])
            else:
                self._waiting.popleft()
        self._reactor.removeWriter(self)

    def doRead(self) -> None:
        """Read what has come."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, ONE_READ, MOST_AT_ONCE)
        except BlockingIOError:
            return
        except OSError as error:
            self._break(error.strerror or str(error))
            return
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._sockets.append(socket.socket(fileno=descriptor))
        if not data:
            self._break("")
            return
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > LONGEST_LINE:
            self._break("a line without an end")
        for line in lines:
            if self._lost is None:
                return
            self._take(line)

    # --

    def _take(self, line: bytes) -> None:
        try:
            words: Words = json.loads(line)
            sockets = [self._sockets.popleft() for _ in range(words.get("sockets", 0))]
        except (ValueError, AttributeError, LookupError) as error:
            self._break(f"not what was agreed: {error}")
            return
        self._received(words, sockets)

    def _break(self, reason: str) -> None:
        lost = self._lost
        if lost is None:
            return
        if reason:
            self.log.info("the connection between two processes of the relay broke: {reason}", reason=reason)
        self.close()
        lost()


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
