"""Who is at the other end of a visitor's connection, in the forms in which it is passed on."""

from __future__ import annotations

from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import Forwarding, forwarded
from egtunnel.ingress.peer import Peer
from egtunnel.interfaces import Visitor

__all__ = ["Caller"]

_NOTHING = Forwarding(b"", [])


class Caller:
    """Makes the frozen visitor and the forwarded headers; a connection asks for the same ones again and again."""

    __slots__ = ("_forwarding", "_host", "_visitor", "peer")

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._visitor = Visitor("http", peer.host, peer.port, tls_name=peer.tls_name)
        self._host = b""
        self._forwarding = _NOTHING

    def visitor(self, name: str) -> Visitor:
        """The visitor of the tunnel of that name."""
        if self._visitor.name != name:
            self._visitor = Visitor("http", self._visitor.host, self._visitor.port, name, self.peer.tls_name)
        return self._visitor

    def scheme(self, head: RequestHead) -> str:
        """What the visitor speaks: ``http`` or ``https``."""
        return self.peer.scheme

    def forwarded(self, head: RequestHead) -> Forwarding:
        """The headers that tell an upstream who asked."""
        host = head.host.value
        if self._host != host:
            self._host, self._forwarding = host, forwarded(self._visitor.host, self.peer.scheme, host)
        return self._forwarding
