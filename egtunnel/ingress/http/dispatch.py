"""Where a request goes, whichever version of HTTP brought it: to a tunnel, to the relay's own host, or nowhere."""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from egtunnel.guard import IWay
from egtunnel.ingress.http.approach import Approach, Exchanging
from egtunnel.ingress.http.caller import Caller
from egtunnel.ingress.http.exchange import Exchange
from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import loops
from egtunnel.ingress.http.local import OwnHost
from egtunnel.ingress.http.onward import Onward
from egtunnel.ingress.http.pages import HTML, document, send_page
from egtunnel.ingress.http.record import Record
from egtunnel.ingress.http.refusals import CLIMBS, LOOP, UNKNOWN, Refusal
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http.routes import find, route
from egtunnel.ingress.http.server_cookie import ServerCookie, take_cookie
from egtunnel.ingress.http.site import Site
from egtunnel.ingress.peer import Peer
from egtunnel.interfaces import ITunnel, Visitor

__all__ = ["Asker", "Dispatch"]

MISDIRECTED = Refusal(421, "misdirected-request", "The certificate of this connection is not for this host.")


class Asker(Protocol):
    """The connection or stream whose request is served."""

    def begin_exchange(self, exchange: Exchanging, visitor: Visitor) -> None:
        """Start the exchange and take part in it."""

    def hand_over(self, protocol: Any, head: bytes) -> None:
        """Give the whole connection away."""


class Dispatch:
    """Sends the requests of one connection on; ``protocol`` is its HTTP, for the log."""

    __slots__ = ("_caller", "_covered", "_protocol", "_site")

    def __init__(self, site: Site, peer: Peer, protocol: str) -> None:
        self._site = site
        self._caller = Caller(peer, site.limits.hops, protocol.removeprefix("HTTP/"))
        self._protocol = protocol
        self._covered = ""

    def answer(self, head: RequestHead, responder: IResponder, asker: Asker) -> None:
        """Serve one request."""
        site, host = self._site, head.host
        if site.settings.access_log is not None:
            responder.record = self._record(head)
        if self._caller.peer.tls and not self._covers(head):
            self.refuse(MISDIRECTED, responder, head)
            return
        where = route(host, site.domain)
        if where.own:
            way = _Way(self, head, responder, asker)
            OwnHost(site, way, responder, self._caller.peer.certified).answer(head)
            return
        tunnel = find(site.tunnels, host, where)
        if tunnel is None:
            self._nowhere(head, responder)
        else:
            self.pass_on(tunnel, head.target, b"", head, responder, asker)

    def _nowhere(self, head: RequestHead, responder: IResponder) -> None:
        """There is nothing of HTTP; what is there for TLS alone has to be asked on a connection of its own."""
        if head.host.literal or self._site.tunnels.by_tls(head.host.name) is None:
            self.refuse(UNKNOWN, responder, head)
        elif self._caller.scheme(head) == "http":
            self._redirect(head, responder)
        else:
            self.refuse(MISDIRECTED, responder, head)

    def refuse(self, refusal: Refusal, responder: IResponder, head: RequestHead | None = None) -> None:
        """Answer a request that goes nowhere; without a head, one that could not be read."""
        site = self._site
        if head is None and site.settings.access_log is not None and responder.record is None:
            responder.record = self._record(None)
        site.refuse(responder, refusal, head.raw if head is not None else [])

    def pass_on(
        self, tunnel: ITunnel, target: bytes, prefix: bytes, head: RequestHead, responder: IResponder, asker: Asker
    ) -> None:
        """Send a request through a tunnel; ``prefix`` is what was taken off its path."""
        begun = self._begin(tunnel, Onward(head, target, tunnel, self._caller.forwarded(head), prefix), responder)
        if begun is not None:
            asker.begin_exchange(*begun)

    def seek(self, way: IWay, head: RequestHead, responder: IResponder, asker: Asker) -> None:
        """Send a request through the tunnel to which ``way`` leads, when that is known."""
        forwarded = self._caller.forwarded(head)

        def begin() -> tuple[Exchange, Visitor] | None:
            tunnel: Any = way.tunnel
            return self._begin(tunnel, Onward(head, way.target, tunnel, forwarded, way.prefix, way.share), responder)

        if self._site.settings.redirect and self._caller.scheme(head) == "http":
            self._redirect(head, responder)
            return
        nowhere: Any = None
        onward = Onward(head, head.target, nowhere, forwarded)
        approach = Approach(self._site, responder, onward, way, begin)
        asker.begin_exchange(approach, self._caller.visitor(head, "share"))

    def _begin(self, tunnel: ITunnel, onward: Onward, responder: IResponder) -> tuple[Exchange, Visitor] | None:
        """The exchange of a request; None: it was answered otherwise."""
        head, site, caller = onward.head, self._site, self._caller
        if responder.record is not None:
            responder.record.tunnel = tunnel.name
        if site.settings.redirect and caller.scheme(head) == "http":
            self._redirect(head, responder)
            return None
        refusal = _unfit(onward, tunnel)
        if refusal is not None:
            site.refuse(responder, refusal, head.raw, tunnel.name)
            return None
        visitor, cookie = caller.visitor(head, tunnel.name), None
        if tunnel.sticky == "cookie":
            known, head.fields = take_cookie(head.fields)
            cookie = ServerCookie(known, caller.scheme(head) == "https", onward.prefix)
            visitor = attrs.evolve(visitor, cookie=known)
        return Exchange(site, tunnel, responder, onward, cookie), visitor

    def _covers(self, head: RequestHead) -> bool:
        name = head.host.name
        if name == self._covered or head.host.literal:
            return True
        if not self._caller.peer.covers(name):
            return False
        self._covered = name
        return True

    def _redirect(self, head: RequestHead, responder: IResponder) -> None:
        port = "" if self._site.port == 443 else f":{self._site.port}"
        target = b"/" if head.target == b"*" else head.target
        place = f"https://{head.host.name}{port}".encode("ascii") + target
        page = document("Moved", "<p>This is served over HTTPS.</p>")
        send_page(responder, 308, HTML, page, [(b"Location", place)])

    def _record(self, head: RequestHead | None) -> Record:
        caller, site = self._caller, self._site
        host = caller.peer.host if head is None else caller.host(head)
        scheme = caller.peer.scheme if head is None else caller.scheme(head)
        log: Any = site.settings.access_log
        return Record(log, site.clock, head, host, scheme, self._protocol)


def _unfit(onward: Onward, tunnel: ITunnel) -> Refusal | None:
    """Why a request cannot go through that tunnel; None: it can."""
    if loops(onward.head.raw):
        return LOOP
    if tunnel.policy is not None and tunnel.policy.climbs(onward.target):
        return CLIMBS
    return None


class _Way:
    """The way on of one request, as the relay's own host sees it."""

    def __init__(self, dispatch: Dispatch, head: RequestHead, responder: IResponder, asker: Asker) -> None:
        self._dispatch = dispatch
        self._head = head
        self._responder = responder
        self._asker = asker

    def pass_on(self, tunnel: ITunnel, target: bytes, prefix: bytes = b"") -> None:
        """Send it through a tunnel."""
        self._dispatch.pass_on(tunnel, target, prefix, self._head, self._responder, self._asker)

    def seek(self, way: IWay) -> None:
        """Send it where the way leads."""
        self._dispatch.seek(way, self._head, self._responder, self._asker)

    def hand_over(self, protocol: Any, head: bytes) -> None:
        """Give the whole connection away; whoever gets it speaks WebSocket."""
        if self._responder.record is not None:
            self._responder.record.switched(101)
        self._asker.hand_over(protocol, head)
