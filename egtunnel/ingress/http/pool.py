"""The upstream connections of one tunnel: those that wait for their next request, and how much is under way."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from zope.interface import implementer

from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.refusals import TOO_MUCH, TOO_MUCH_OF_ONE, Refusal
from egtunnel.ingress.http.upstream import Upstream, UpstreamConnection
from egtunnel.ingress.http2.upstream import H2Upstream
from egtunnel.ingress.subscriber import subscriber
from egtunnel.interfaces import IServer, ITunnel

__all__ = ["Pool"]


@implementer(IProtocolFactory)
class Pool:
    """Keeps idle connections, by their server where there are several; the last to come is the first to go again.

    Also makes new ones, as a factory.

    ``active`` counts the exchanges under way, ``_shares`` those of each address. ``on_empty`` is called when nothing is
    idle or under way any more.
    """

    __slots__ = ("_clock", "_domain", "_idle", "_on_empty", "_shares", "_sweep", "active", "limits", "tunnel")

    noisy = False

    def __init__(
        self,
        tunnel: ITunnel,
        clock: IReactorTime,
        limits: HTTPLimits,
        domain: str,
        on_empty: Callable[[Pool], None] = lambda pool: None,
    ) -> None:
        self.tunnel = tunnel
        self.limits = limits
        self.active = 0
        self._clock = clock
        self._domain = domain
        self._on_empty = on_empty
        self._idle: dict[IServer | None, list[Upstream]] = {}
        self._shares: dict[str, int] = {}
        self._sweep: IDelayedCall | None = None

    @property
    def idle(self) -> int:
        """How many connections wait."""
        return sum(map(len, self._idle.values()))

    def take(self, idempotent: bool, server: IServer | None = None) -> Upstream | None:
        """A connection to reuse; for a request that must not be repeated only one that was used a moment ago."""
        idle = self._idle.get(server)
        if not idle:
            return None
        now, found = self._clock.seconds(), None
        while idle and found is None:
            if now < idle[-1].idle_until:
                if not idempotent and now - idle[-1].idle_since >= self.limits.fresh_upstream:
                    return None
                found = idle.pop()
            else:
                self._drop(idle.pop())
        if server is not None:
            if not idle:
                del self._idle[server]
            if found is not None:
                server.let_go(found)
        return found

    def put(self, upstream: Upstream, wait: float | None, server: IServer | None = None) -> None:
        """Keep a connection whose response is complete, for as long as the upstream said it would, less a second."""
        limit = self.limits.idle_upstream
        if wait is not None:
            limit = min(limit, wait - 1.0)
        upstream.resume()
        idle = self._idle.get(server)
        if (
            self.tunnel.dedicated
            or limit <= 0
            or len(idle or ()) >= self.limits.idle_upstreams
            or not upstream.reusable
        ):
            upstream.close()
            return
        now = self._clock.seconds()
        upstream.idle_since, upstream.idle_until = now, now + limit
        upstream.server = server
        if idle is None:
            idle = self._idle[server] = []
        idle.append(upstream)
        if server is not None:
            server.keep(upstream)
        if self._sweep is None:
            self._sweep = self._clock.callLater(self.limits.idle_upstream, self._swept)

    def begin(self, host: str) -> Refusal | None:
        """An exchange of a visitor at this address begins; or why not, if too many are under way."""
        most = self.tunnel.connections
        if self.active >= self.limits.exchanges or (most is not None and self.active >= most):
            return TOO_MUCH
        key = subscriber(host)
        share = self._shares.get(key, 0)
        if share >= self.limits.exchanges_per_address:
            return TOO_MUCH_OF_ONE
        self._shares[key] = share + 1
        self.active += 1
        return None

    def over(self, host: str) -> None:
        """An exchange is over that was begun with this address."""
        key = subscriber(host)
        share = self._shares.pop(key) - 1
        if share:
            self._shares[key] = share
        self.active -= 1
        self._look()

    def forget(self, upstream: Upstream) -> None:
        """An idle connection has ended by itself."""
        idle = self._idle.get(upstream.server)
        if idle is None or upstream not in idle:
            return
        idle.remove(upstream)
        if upstream.server is not None:
            upstream.server.let_go(upstream)
            if not idle:
                del self._idle[upstream.server]
        self._look()

    def close(self) -> None:
        """End all idle connections and the timer."""
        idle, self._idle = self._idle, {}
        for upstream in chain.from_iterable(idle.values()):
            self._drop(upstream)
        self._look()

    def _swept(self) -> None:
        self._sweep = None
        now = self._clock.seconds()
        known, self._idle = self._idle, {}
        late: list[Upstream] = []
        for server, idle in known.items():
            late += [upstream for upstream in idle if upstream.idle_until <= now]
            if left := [upstream for upstream in idle if upstream.idle_until > now]:
                self._idle[server] = left
        for upstream in late:
            self._drop(upstream)
        if self._idle:
            soonest = min(upstream.idle_until for upstream in chain.from_iterable(self._idle.values()))
            self._sweep = self._clock.callLater(max(soonest - now, self.limits.idle_upstream / 4), self._swept)
        self._look()

    def _drop(self, upstream: Upstream) -> None:
        """End one that is not among the idle ones any more."""
        if upstream.server is not None:
            upstream.server.let_go(upstream)
        upstream.close()

    def _look(self) -> None:
        if not self.active and not any(self._idle.values()):
            if self._sweep is not None:
                self._sweep.cancel()
                self._sweep = None
            self._on_empty(self)

    # -- IProtocolFactory

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A new connection of this tunnel, in the HTTP that its upstream speaks."""
        make: Any = H2Upstream if self.tunnel.protocol == "h2c" else UpstreamConnection
        return make(self, self._clock, self.limits, self._domain)

    def doStart(self) -> None:
        """Nothing to do."""

    def doStop(self) -> None:
        """Nothing to do."""
