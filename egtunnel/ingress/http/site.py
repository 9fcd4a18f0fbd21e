"""What all connections of one HTTP ingress share."""

from __future__ import annotations

import attrs
from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.pool import Pool
from egtunnel.interfaces import ITunnel, ITunnels

__all__ = ["Site"]


@attrs.define(eq=False)
class Site:
    """The relay as a visitor sees it, and the pools of its tunnels.

    ``scheme`` and ``port`` are what visitors use, be it a TLS proxy's. ``closing``: no connection is kept any more.
    """

    tunnels: ITunnels
    domain: str
    scheme: str
    port: int
    link_path: bytes
    link_factory: IProtocolFactory
    clock: IReactorTime
    limits: HTTPLimits
    pools: dict[ITunnel, Pool] = attrs.field(factory=dict)
    closing: bool = False

    def pool(self, tunnel: ITunnel) -> Pool:
        """The pool of a tunnel; there is one as long as it has something to hold."""
        pool = self.pools.get(tunnel)
        if pool is None:
            pool = self.pools[tunnel] = Pool(tunnel, self.clock, self.limits, self.domain, self._empty)
        return pool

    def client_line(self) -> str:
        """What to type to connect a client; no token in it."""
        local = self.domain == "localhost" or self.domain.endswith(".localhost")
        usual = {"http": 80, "https": 443}.get(self.scheme)
        link = "wss" if self.scheme == "https" else "ws"
        port = "" if self.port == usual else f":{self.port}"
        path = self.link_path.decode("ascii")
        relay = f"{link}://{self.domain}{port}{'' if path == '/connect' else path}"
        if local and relay == "ws://localhost:7070":
            return "twistd -n egclient --local 8080"
        insecure = "" if local or self.scheme == "https" else " --insecure"
        return f"twistd -n egclient --relay {relay}{insecure} --local 8080"

    def _empty(self, pool: Pool) -> None:
        if self.pools.get(pool.tunnel) is pool:
            del self.pools[pool.tunnel]
