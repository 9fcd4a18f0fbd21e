"""The HTTP ingress as a factory: give it to any listening endpoint, plain or TLS."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.internet.protocol import ServerFactory

from egtunnel.ingress.http.farewell import TurnedAway
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.site import Site
from egtunnel.ingress.http.visitor import VisitorConnection
from egtunnel.interfaces import ITunnels

__all__ = ["HTTPIngress", "HTTPLimits"]


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
    ) -> None:
        self.limits = limits or HTTPLimits()
        own = domain.lower().removesuffix(".")
        self.site = Site(tunnels, own, scheme, port, link_path.encode("ascii"), link_factory, clock, self.limits)
        self.connections: set[VisitorConnection] = set()

    def buildProtocol(self, addr: IAddress | None) -> VisitorConnection | TurnedAway:
        """The protocol of a new connection; one too many is told so and sent away."""
        if len(self.connections) >= self.limits.connections:
            return TurnedAway(self.site.clock, self.limits, addr)
        connection = VisitorConnection(self.site, addr, self.connections.discard)
        self.connections.add(connection)
        return connection

    def close(self) -> None:
        """Keep no connection any more: idle ones end now, busy ones with their response."""
        self.site.closing = True
        for connection in list(self.connections):
            connection.close_when_idle()
        for pool in list(self.site.pools.values()):
            pool.close()
