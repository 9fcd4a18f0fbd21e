"""What all connections of one HTTP ingress share."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from egtunnel.guard import Answer, IWay
from egtunnel.ingress.http.access_log import AccessLog
from egtunnel.ingress.http.error_pages import ErrorPages
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.pages import send_answer, send_refusal
from egtunnel.ingress.http.pool import Pool
from egtunnel.ingress.http.refusals import Refusal
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http2.limits import H2Limits
from egtunnel.interfaces import ITunnel, ITunnels

__all__ = ["Site", "SiteSettings"]


@attrs.frozen
class SiteSettings:
    """What the options of a relay say about its HTTP.

    ``redirect``: visitors of tunnels who speak plain HTTP are sent to HTTPS. ``client_line``: what to type to connect a
    client, without its token. ``access_log`` and ``error_pages``: None: there are none. ``require_certificate``:
    clients connect only with a certificate of the relay's own authority. ``http2``: its limits.
    ``shares``: makes the way of a request that shows the link of a share; None: there are no shares.
    ``api``: what serves the relay's API; None: there is none.
    """

    redirect: bool = False
    client_line: str = "twistd -n egclient --local 8080"
    access_log: AccessLog | None = None
    error_pages: ErrorPages | None = None
    require_certificate: bool = False
    http2: H2Limits = attrs.field(factory=H2Limits)
    shares: Callable[[], IWay] | None = None
    api: ITunnel | None = None


@attrs.define(eq=False)
class Site:
    """The relay as a visitor sees it, and the pools of its tunnels.

    ``scheme`` and ``port`` are what visitors use, be it a TLS proxy's. ``closing``: no connection is kept any more.
    ``held``: bytes of requests that rules for visitors want to read.
    """

    tunnels: ITunnels
    domain: str
    scheme: str
    port: int
    link_path: bytes
    link_factory: IProtocolFactory
    clock: IReactorTime
    limits: HTTPLimits
    settings: SiteSettings = SiteSettings()
    pools: dict[ITunnel, Pool] = attrs.field(factory=dict)
    closing: bool = False
    held: int = 0

    def pool(self, tunnel: ITunnel) -> Pool:
        """The pool of a tunnel; there is one as long as it has something to hold."""
        pool = self.pools.get(tunnel)
        if pool is None:
            pool = self.pools[tunnel] = Pool(tunnel, self.clock, self.limits, self.domain, self._empty)
        return pool

    def refuse(self, responder: IResponder, refusal: Refusal | Answer, fields: Fields, tunnel: str = "") -> None:
        """Answer with the page of an error, the relay's own or the tunnel's; ``fields`` may ask for JSON."""
        if isinstance(refusal, Answer):
            send_answer(responder, refusal)
            return
        send_refusal(responder, refusal, fields, self.limits.retry_after, self.settings.error_pages, tunnel)

    def _empty(self, pool: Pool) -> None:
        if self.pools.get(pool.tunnel) is pool:
            del self.pools[pool.tunnel]
