"""Listening on a TCP port: with a socket of our own, or with one that somebody has opened for us."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory

__all__ = ["listen"]


def listen(
    reactor: Any,
    port: int,
    factory: IProtocolFactory,
    *,
    interface: str,
    backlog: int,
    inherited: socket.socket | None = None,
) -> IListeningPort:
    """Listen on ``port``; with an ``inherited`` socket, which listens already, take that one over and close it.

    Raises CannotListenError.
    """
    if inherited is None:
        opened: IListeningPort = reactor.listenTCP(port, factory, backlog=backlog, interface=interface)
        return opened
    with inherited:
        inherited.setblocking(False)
        adopted: IListeningPort = reactor.adoptStreamPort(inherited.fileno(), inherited.family, factory)
        return adopted
