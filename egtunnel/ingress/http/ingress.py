"""The HTTP ingress as a factory: give it to any listening endpoint, plain or TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.internet.protocol import ServerFactory

from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.site import Site, SiteSettings
from egtunnel.ingress.http.visitor import VisitorConnection
from egtunnel.ingress.http2.connection import H2Connection
from egtunnel.ingress.peer import Peer, peer_of
from egtunnel.interfaces import ITunnels

__all__ = ["Connection", "HTTPIngress", "HTTPLimits", "SiteSettings"]

Connection = VisitorConnection | H2Connection
"""A visitor's connection; an IProtocol."""


class HTTPIngress(ServerFactory):
    """Makes the connections of visitors.

    :param tunnels: the table of public names.
    :param domain: the relay's own host; tunnels stand at ``name.domain`` and ``domain/name/``.
    :param scheme: ``http`` or ``https``, as visitors see it; ``port`` likewise.
    :param link_path: where on the own host clients connect.
    :param link_factory: gets those connections, from the first byte of the request.
    """

    noisy = False

    def __init__(
        self,
        tunnels: ITunnels,
        *,
        domain: str,
        scheme: str,
        port: int,
        link_path: str,
        link_factory: IProtocolFactory,
        clock: IReactorTime,
        limits: HTTPLimits | None = None,
        settings: SiteSettings | None = None,
    ) -> None:
        self.limits = limits or HTTPLimits()
        own = domain.lower().removesuffix(".")
        self.site = Site(tunnels, own, scheme, port, link_path.encode("ascii"), link_factory, clock, self.limits)
        self.site.settings = settings or SiteSettings()
        self.connections: set[VisitorConnection | H2Connection] = set()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The protocol of a new plain connection that nobody has looked at before."""
        return self.connection(peer_of(addr, self.site.scheme))

    def connection(
        self, peer: Peer, protocol: bytes = b"http/1.1", on_left: Callable[[], None] = lambda: None
    ) -> Connection:
        """The protocol of a new connection in this version of HTTP, as ALPN names it (``h2`` or ``http/1.1``).

        ``on_left`` is called once it is no visitor's any more: lost, or a client's link; twice does not harm.
        """
        make: Any = H2Connection if protocol == b"h2" else VisitorConnection

        def left(connection: Connection) -> None:
            self.connections.discard(connection)
            on_left()

        connection: Connection = make(self.site, peer, left)
        self.connections.add(connection)
        if self.site.closing:
            connection.leave()
        return connection

    def leave(self) -> None:
        """Keep no connection any more, but close none that is idle: its visitor may just be about to ask."""
        self.site.closing = True
        for connection in list(self.connections):
            connection.leave()

    def change(self, limits: HTTPLimits, settings: SiteSettings) -> None:
        """For the requests and the waits that begin from now on."""
        self.limits = self.site.limits = limits
        self.site.settings = settings
        for pool in self.site.pools.values():
            pool.limits = limits

    def close(self) -> None:
        """Keep no connection any more: idle ones end now, busy ones with their response."""
        self.site.closing = True
        for connection in list(self.connections):
            connection.leave(at_once=True)
        for pool in list(self.site.pools.values()):
            pool.close()
