"""Notices that the machine's networks change: an address or a route that comes or goes (Linux, rtnetlink(7))."""

from __future__ import annotations

import socket
from collections.abc import Callable
from struct import Struct
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IFileDescriptor, IReadDescriptor
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["NetworkChanges"]

ADDRESSES_4, ROUTES_4, ADDRESSES_6, ROUTES_6 = 0x10, 0x40, 0x100, 0x400
GROUPS = ADDRESSES_4 | ROUTES_4 | ADDRESSES_6 | ROUTES_6
"""The groups of messages we listen to, as bits (RTMGRP_*)."""
NEW_ADDRESS, GONE_ADDRESS, NEW_ROUTE, GONE_ROUTE = 20, 21, 24, 25
HEADER = Struct("=IHHII")
SETTLE = 0.3
"""Seconds: a change of networks is many messages."""
LONGEST = 65_536


@implementer(IReadDescriptor, IFileDescriptor)
class NetworkChanges:
    """Calls ``changed()`` some moments after addresses or routes have changed; where there is no netlink, never.

    Usable without privileges; messages that the kernel drops because we are slow count as a change.
    """

    log = Logger()

    def __init__(self, reactor: Any, changed: Callable[[], None]) -> None:
        self._reactor = reactor
        self._changed = changed
        self._socket: socket.socket | None = None
        self._settling: IDelayedCall | None = None

    def start(self) -> None:
        """Listen from now on."""
        family = getattr(socket, "AF_NETLINK", None)
        if family is None or self._socket is not None:
            return
        try:
            listening = socket.socket(family, socket.SOCK_RAW, 0)  # NETLINK_ROUTE
            listening.bind((0, GROUPS))
        except OSError as error:
            self.log.debug("no netlink: {error}", error=error)
            return
        listening.setblocking(False)
        self._socket = listening
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Listen no longer."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    # -- IReadDescriptor

    def fileno(self) -> int:
        """The socket's number."""
        return -1 if self._socket is None else self._socket.fileno()

    def doRead(self) -> None:
        """Something happened."""
        if self._socket is None:
            return
        try:
            data = self._socket.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # ENOBUFS: there was more than we could be told
        if (not data or _concerns_us(data)) and self._settling is None:
            self._settling = self._reactor.callLater(SETTLE, self._settled)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The reactor stops."""
        self.stop()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return "networks"

    def _settled(self) -> None:
        self._settling = None
        self._changed()


def _concerns_us(data: bytes) -> bool:
    """Whether among these messages one says that an address or a route has changed."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, offset)
        if kind in (NEW_ADDRESS, GONE_ADDRESS, NEW_ROUTE, GONE_ROUTE):
            return True
        offset += max((length + 3) & ~3, HEADER.size)
    return False
