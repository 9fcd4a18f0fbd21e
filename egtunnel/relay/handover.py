"""The running relay's side of a takeover: a UNIX socket at which a new one asks for the listening sockets."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.datagrams import DatagramSocket
from egtunnel.relay.takeover import READY, REQUEST, SOCKET

__all__ = ["Handover", "Sockets"]

PATIENCE = 30.0
"""Seconds that a new relay has to begin, from its first word on."""
CREDENTIALS = struct.Struct("3i")
"""Of SO_PEERCRED: process, user, group (unix(7))."""

Sockets = tuple[dict[int, IListeningPort], dict[int, IListeningPort], dict[int, DatagramSocket]]
"""The relay's own ports, those of TCP tunnels and those of UDP tunnels, by number."""


class Handover(Factory):
    """Listens in the state folder, 0600, for one new relay at a time that runs under the same account.

    :param freeze: stops accepting and writing, and gives the sockets to hand over.
    :param thaw: takes everything back: the new relay did not begin.
    :param left: the new relay has begun.
    """

    noisy = False
    log = Logger()

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        *,
        freeze: Callable[[], Sockets],
        thaw: Callable[[], None],
        left: Callable[[], None],
    ) -> None:
        self.reactor = reactor
        self.freeze = freeze
        self.thaw = thaw
        self.left = left
        self.busy = False
        self._file = folder / SOCKET
        self._port: Any = None

    def listen(self) -> None:
        """Listen; a file that an earlier relay left behind is in nobody's way, as the folder is locked by us."""
        self._file.unlink(missing_ok=True)
        try:
            self._port = self.reactor.listenUNIX(str(self._file), self, mode=0o600)
        except CannotListenError as error:
            self.log.warn("no other relay can take over from this one: {error}", error=error.socketError)

    def close(self) -> None:
        """Listen no more."""
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()

    def buildProtocol(self, addr: Any) -> HandoverProtocol:
        """A new relay asks."""
        return HandoverProtocol(self)


class HandoverProtocol(Protocol):
    """One request, one answer, and the word that the new relay has begun."""

    transport: Any

    def __init__(self, handover: Handover) -> None:
        self._handover = handover
        self._received = b""
        self._asked = self._over = False
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Only from our own account."""
        peer = self.transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        if CREDENTIALS.unpack(peer)[1] not in (os.geteuid(), 0):
            self.transport.abortConnection()
        else:
            self._timer = self._handover.reactor.callLater(PATIENCE, self.transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        """A request, or ``ready``."""
        self._received += data
        if self._received == REQUEST and not self._asked:
            self._hand_over()
        elif self._received == REQUEST + READY and self._asked and not self._over:
            self._over = True
            self._handover.busy = False
            self.transport.loseConnection()
            self._handover.left()
        elif not (REQUEST + READY).startswith(self._received):
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Without ``ready``: the new relay has failed."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._asked and not self._over:
            self._over = True
            self._handover.busy = False
            self._handover.thaw()
            self._handover.listen()

    def _hand_over(self) -> None:
        if self._handover.busy:
            self.transport.write(b'{"refused": "another relay is taking over already"}\n')
            self.transport.loseConnection()
            return
        self._handover.busy = self._asked = True
        ports, tunnels, udp = self._handover.freeze()
        self._handover.close()
        for port in (*ports.values(), *tunnels.values(), *udp.values()):
            self.transport.sendFileDescriptor(port.fileno())  # type: ignore[attr-defined]
        answer = json.dumps({"ports": list(ports), "tunnels": list(tunnels), "udp": list(udp)}).encode()
        # Each descriptor travels with a byte of its own.
        self.transport.write(answer.ljust(len(ports) + len(tunnels) + len(udp)) + b"\n")
