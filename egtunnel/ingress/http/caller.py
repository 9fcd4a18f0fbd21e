"""Who is at the other end of a visitor's connection, in the forms in which it is passed on."""

from __future__ import annotations

from egtunnel.ingress.http.forwarding import Told, chained, evidence, read_told
from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import Fields, Forwarding, forwarded
from egtunnel.ingress.peer import Peer
from egtunnel.interfaces import Visitor

__all__ = ["Caller"]

_NOTHING = Forwarding(b"", [])


class Caller:
    """Makes the frozen visitor and the forwarded headers; a connection asks for the same ones again and again.

    What requests say of who asked counts only where the connection's other end is trusted; then each request may come
    from somebody else.

    :param hops: so many proxies in a row are believed.
    :param version: of the HTTP that is spoken: ``1.1`` or ``2.0``.
    """

    __slots__ = ("_evidence", "_forwarding", "_hops", "_key", "_own", "_told", "_version", "_visitor", "peer")

    def __init__(self, peer: Peer, hops: int = 32, version: str = "1.1") -> None:
        self.peer = peer
        self._hops = hops
        self._version = version.encode("ascii")
        self._own = self._told = Told(peer.host, peer.port)
        self._evidence: Fields = []
        self._visitor = Visitor("http", peer.host, peer.port, tls_name=peer.tls_name, certified_by=peer.certified_by)
        self._key = (b"", True)
        self._forwarding = _NOTHING

    def host(self, head: RequestHead) -> str:
        """The visitor's address."""
        return self._of(head).host

    def visitor(self, head: RequestHead, name: str) -> Visitor:
        """The visitor of the tunnel of that name."""
        told, known = self._of(head), self._visitor
        if known.name != name or known.host != told.host or known.port != told.port:
            self._visitor = Visitor(
                "http", told.host, told.port, name, self.peer.tls_name, certified_by=self.peer.certified_by
            )
        return self._visitor

    def scheme(self, head: RequestHead) -> str:
        """What the visitor speaks: ``http`` or ``https``."""
        return self._of(head).scheme or self.peer.scheme

    def forwarded(self, head: RequestHead) -> Forwarding:
        """The headers that tell an upstream who asked."""
        told, key = self._of(head), (head.host.value, head.modern)
        if self._key != key or self._forwarding is _NOTHING:
            self._key = key
            self._forwarding = self._tell(told, *key)
        return self._forwarding

    def _of(self, head: RequestHead) -> Told:
        """What is believed of a request; the same as of the one before where it says the same."""
        if not self.peer.trusted:
            return self._own
        found = evidence(head.raw)
        if found != self._evidence:
            self._evidence = found
            self._told = read_told(found, self.peer.host, self.peer.port, self.peer.trusts, self._hops)
            self._forwarding = _NOTHING
        return self._told

    def _tell(self, told: Told, host: bytes, modern: bool) -> Forwarding:
        peer = self.peer
        version = self._version if modern else b"1.0"
        if told is self._own:
            return forwarded(peer.host, peer.scheme, host, version)
        return chained(told, peer.host, peer.scheme, host, version)
