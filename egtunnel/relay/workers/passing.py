"""Connections that go from one worker to another: the descriptor, what was read of it, and what is known of it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["MOST_DATA", "Pass", "Passed"]

MOST_DATA = 65_536
"""Bytes that were read of a connection; who has sent more stays where it is."""
ONE_READ = 131_072
TURN = 64
"""Connections taken at once before others have their turn."""


@attrs.frozen
class Passed:
    """A connection that another worker has passed to us: ``words`` say what it is, ``data`` is what it sent so far."""

    connection: socket.socket
    words: dict[str, Any]
    data: bytes


@implementer(IReadDescriptor)
class Pass:
    """One end of the way between two workers. Each connection is one packet, sent at once or not at all.

    :param channel: a connected socket of the type SOCK_SEQPACKET; it becomes ours.
    """

    def __init__(self, reactor: Any, channel: socket.socket, passed: Callable[[Passed], None]) -> None:
        channel.setblocking(False)
        self._reactor = reactor
        self._channel = channel
        self._passed = passed
        reactor.addReader(self)

    def send(self, connection: socket.socket, words: dict[str, Any], data: bytes) -> bool:
        """Pass a connection on, which stays open here, too; False: it cannot be done at this moment."""
        if len(data) > MOST_DATA or self._channel.fileno() < 0:
            return False
        packet = json.dumps(words, separators=(",", ":")).encode() + b"\n" + data
        try:
            socket.send_fds(self._channel, [packet], [connection.fileno()])
        except OSError:
            return False
        return True

    def close(self) -> None:
        """No more."""
        if self._channel.fileno() >= 0:
            self._reactor.removeReader(self)
            self._channel.close()

    # -- IReadDescriptor

    def fileno(self) -> int:
        """For the reactor; -1 once it is closed."""
        return self._channel.fileno()

    def logPrefix(self) -> str:
        """For the log."""
        return "pass"

    def connectionLost(self, reason: Failure) -> None:
        """The other worker is gone."""
        self.close()

    def doRead(self) -> None:
        """Take what was passed."""
        for _ in range(TURN):
            try:
                packet, descriptors, _, _ = socket.recv_fds(self._channel, ONE_READ, 1)
            except BlockingIOError:
                return
            except OSError:
                packet, descriptors = b"", []
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            if not packet:
                self.close()
                return
            self._take(packet, [socket.socket(fileno=descriptor) for descriptor in descriptors])
            if self._channel.fileno() < 0:
                return

    def _take(self, packet: bytes, connections: list[socket.socket]) -> None:
        head, _, data = packet.partition(b"\n")
        for connection in connections:  # none if this process has as many descriptors as it may
            connection.setblocking(False)
            self._passed(Passed(connection, json.loads(head), data))
