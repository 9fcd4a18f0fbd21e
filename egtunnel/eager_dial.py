"""Connections within one machine, made at once: all that reaches into how Twisted dials.

Over loopback a socket is connected as soon as ``connect`` returns, and Twisted finds that out two turns of its loop,
three system calls and four objects later. Whatever is not connected at once takes the ordinary way.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.tcp import Server
from zope.interface import implementer

__all__ = ["AtOnce", "at_once"]

_AT_ONCE = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC

_BEGUN = frozenset([0, errno.EINPROGRESS])
_THERE = frozenset([0, errno.EISCONN])


def at_once(reactor: Any, host: str, port: int, ordinary: IStreamClientEndpoint) -> IStreamClientEndpoint:
    """An endpoint for an address: the ordinary one, or a quicker one where it is of this machine's loopback."""
    if type(reactor) is EPollReactor and ip_address(host).is_loopback:
        return AtOnce(reactor, host, port, ordinary)
    return ordinary


@implementer(IStreamClientEndpoint)
class AtOnce:
    """Connects without waiting, or else as the ordinary endpoint does."""

    def __init__(self, reactor: Any, host: str, port: int, ordinary: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._ordinary = ordinary
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fires before it returns, if all goes well; fails as the ordinary endpoint does."""
        connected = self._connected()
        if connected is None:
            ordinary: Deferred[IProtocol] = self._ordinary.connect(protocolFactory)
            return ordinary
        kind = IPv6Address if self._family == socket.AF_INET6 else IPv4Address
        protocol: Any = protocolFactory.buildProtocol(kind("TCP", self._host, self._port))
        if protocol is None:
            connected.close()
            return fail(NoProtocol())
        address: Any = (self._host, self._port) if kind is IPv4Address else (self._host, self._port, 0, 0)
        nobody: Any = None
        transport = Server(connected, protocol, address, nobody, 0, self._reactor)
        transport.repstr = f"<connection to {self._host}:{self._port}>"
        protocol.makeConnection(transport)
        return succeed(protocol)

    def _connected(self) -> socket.socket | None:
        """A socket that is connected; None: that takes time, or does not go."""
        try:
            dialing = socket.socket(self._family, _AT_ONCE)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return None  # the ordinary way has words for it
            raise
        address, began = (self._host, self._port), dialing.connect_ex
        if began(address) in _BEGUN and began(address) in _THERE:  # the second call asks how far the first is
            return dialing
        dialing.close()
        return None
