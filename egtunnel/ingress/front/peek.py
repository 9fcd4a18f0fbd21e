"""The first moments of a connection: as few bytes as tell what it is, then the protocol for that takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import let_go
from egtunnel.ingress.front.census import Place
from egtunnel.ingress.front.detection import Row, detect, starts_with
from egtunnel.ingress.front.detection import anything as otherwise
from egtunnel.ingress.front.proxy_protocol import (
    SIGNATURE_V1,
    SIGNATURE_V2,
    ProxyHeader,
    ProxyHeaderRefused,
    read_proxy_header,
)
from egtunnel.ingress.http.deadline import Deadline

if TYPE_CHECKING:
    from egtunnel.ingress.front.door import FrontDoor

__all__ = ["Peek"]

PROXIED = (Row(starts_with(SIGNATURE_V1, SIGNATURE_V2), True), Row(otherwise, False))
"""Whether a connection starts with a PROXY header."""


@implementer(IProtocol)
class Peek:
    """A connection that has not shown yet what it is; silent ones are closed.

    What it holds of the connection is bounded: by one read beyond the longest PROXY header that is not complete.
    """

    __slots__ = (
        "_data",
        "_deadline",
        "_door",
        "_elsewhere",
        "_host",
        "_place",
        "_port",
        "_unnamed",
        "factory",
        "transport",
    )

    log = Logger()

    def __init__(self, door: FrontDoor, place: Place, host: str, port: int, settled: bool = False) -> None:
        self.transport: Any = None
        self.factory: Any = None
        self._door = door
        self._place = place
        self._host = host
        self._port = port
        self._unnamed = not settled and host in door.trusted
        self._elsewhere = None if settled else door.elsewhere
        self._data = b""
        self._deadline = Deadline(door.clock, self.close)

    def makeConnection(self, transport: Any) -> None:
        """Connected: it has ``peek`` seconds."""
        self.transport = transport
        self._door.peeks.add(self)
        self._deadline.set(self._door.limits.peek)
        if self._host not in self._door.trusted and not self._place.count_for(self._host):
            self.close()

    def connectionMade(self) -> None:
        """Nothing: ``makeConnection`` did it all."""

    def dataReceived(self, data: bytes) -> None:
        """Look whether this is enough to know."""
        self._data += data
        if self._unnamed and not self._named():
            return
        if self._elsewhere is not None and self._place.refusal is None and not self._stays():
            return
        kind = detect(self._door.table, self._data)
        if kind is not None:
            self._give_way(kind.begin if self._place.refusal is None else kind.refuse)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It went before it showed what it is."""
        self._over()
        self._place.leave()

    def close(self) -> None:
        """End it now."""
        self._deadline.cancel()
        self.transport.abortConnection()

    def _stays(self) -> bool:
        """Whether it is served here; False: elsewhere, or that cannot be told yet."""
        elsewhere: Any = self._elsewhere
        taken = elsewhere(self.transport, self._data, self._host, self._port)
        if taken:
            self._over()
            self._place.leave()
            self._data = b""
            let_go(self.transport)
        return taken is False

    # -- behind a balancer

    def _named(self) -> bool:
        """Whether it is clear now for whom the balancer speaks; a balancer that says nothing speaks for itself."""
        proxied = detect(PROXIED, self._data)
        if proxied is None:
            return False
        if not proxied:
            self._unnamed = False
            return True
        try:
            header = read_proxy_header(self._data, self._door.limits.proxy_header)
        except ProxyHeaderRefused as error:
            self.log.warn("bad PROXY header from {host}: {reason}", host=self._host, reason=error.text)
            self.close()
            return False
        return header is not None and self._speak_for(header)

    def _speak_for(self, header: ProxyHeader) -> bool:
        self._unnamed = False
        self._data = self._data[header.size :]
        if not header.host:
            return True
        self._host, self._port = header.host, header.port
        if self._host not in self._door.trusted and not self._place.count_for(self._host):
            self.close()
            return False
        return True

    # -- known

    def _give_way(self, build: Any) -> None:
        """Put the right protocol at the connection; it starts with all that came."""
        successor = build(self._door.peer(self._host, self._port), self._place)
        if successor is None:
            self.close()
            return
        self._over()
        transport, data, self._data = self.transport, self._data, b""
        transport.protocol = successor
        successor.makeConnection(transport)
        successor.dataReceived(data)

    def _over(self) -> None:
        self._deadline.cancel()
        self._door.peeks.discard(self)
