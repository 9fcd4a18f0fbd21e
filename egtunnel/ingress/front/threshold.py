"""What stands between a TCP connection and TLS: nothing but the count of visitors."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.ingress.front.census import Place

__all__ = ["Threshold"]


@implementer(IProtocol)
class Threshold:
    """Gives the place of a connection back when the connection is lost, be it within the handshake.

    Bytes do not come by here: ``dataReceived`` is that of the protocol within.
    """

    __slots__ = ("_place", "connectionMade", "dataReceived", "factory", "makeConnection", "within")

    def __init__(self, within: Any, place: Place) -> None:
        self.factory: Any = None
        self.within = within
        self._place = place
        self.makeConnection = within.makeConnection
        self.connectionMade = within.connectionMade
        self.dataReceived = within.dataReceived

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over."""
        self._place.leave()
        self.within.connectionLost(reason)
