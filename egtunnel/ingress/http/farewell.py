"""The last phase of a connection: what was written leaves, what still comes is thrown away, nobody waits for ever."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.ingress.http.deadline import Deadline
from egtunnel.ingress.http.limits import HTTPLimits

__all__ = ["Farewell"]


@implementer(IProtocol, IHalfCloseableProtocol)
class Farewell:
    """Ends a connection whose producer is unregistered.

    With ``linger`` our side ends first, and what the visitor still sends is read for a while: closing at once would
    reset the connection, and the visitor would never see the response (RFC 9112 section 9.6).
    """

    __slots__ = ("_closing", "_deadline", "_limits", "_read", "factory", "transport")

    def __init__(self, clock: IReactorTime, limits: HTTPLimits, linger: bool) -> None:
        self.transport: Any = None
        self.factory: Any = None
        self._limits = limits
        self._deadline = Deadline(clock, self._too_late)
        self._read = 0
        self._closing = not linger

    def makeConnection(self, transport: Any) -> None:
        """Begin to end."""
        self.transport = transport
        if self._closing:
            self._close()
            return
        if hasattr(type(transport), "loseWriteConnection"):
            transport.loseWriteConnection()
        else:
            self._closing = True  # TLS says so by its close_notify, and reads on until the visitor's
            transport.loseConnection()
        self._deadline.set(self._limits.linger)
        transport.resumeProducing()

    def connectionMade(self) -> None:
        """Nothing: ``makeConnection`` did it all."""

    def dataReceived(self, data: bytes) -> None:
        """Throw it away, up to a limit."""
        self._read += len(data)
        if self._read > self._limits.linger_bytes:
            self._too_late()

    def readConnectionLost(self) -> None:
        """The visitor has said all."""
        if not self._closing:
            self._close()

    def writeConnectionLost(self) -> None:
        """What we had to say has left."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self._closing = True
        self._deadline.cancel()

    def _close(self) -> None:
        self._closing = True
        self._deadline.set(self._limits.stall)
        self.transport.loseConnection()

    def _too_late(self) -> None:
        if self._closing:
            self.transport.abortConnection()
        else:
            self._close()
