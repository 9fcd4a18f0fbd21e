"""The relay's own host: the link, a health check, a start page, and tunnels by path."""

from __future__ import annotations

from typing import Protocol

from egtunnel.guard import IWay
from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import list_members
from egtunnel.ingress.http.onward import raw_bytes
from egtunnel.ingress.http.pages import HTML, PLAIN, document, send_page, send_start
from egtunnel.ingress.http.refusals import FULL, NOT_FOUND, Refusal
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http.routes import split_path
from egtunnel.ingress.http.site import Site
from egtunnel.interfaces import ITunnel

__all__ = ["OwnHost"]

PAGES = (b"GET", b"HEAD")
SHARES, API = b"/share/", b"/api/"
WRONG_METHOD = Refusal(405, "method-not-allowed", "This page can only be read.", headers=((b"Allow", b"GET, HEAD"),))
NO_LINK = Refusal(
    426,
    "upgrade-required",
    "This is where egtunnel clients connect, by WebSocket.",
    headers=((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")),
)
NO_CERTIFICATE = Refusal(
    403, "certificate-required", "Clients of this relay connect with a certificate of its authority (--cert, --key)."
)


class Asker(Protocol):
    """The request's way on, for those that are not answered here."""

    def pass_on(self, tunnel: ITunnel, target: bytes, prefix: bytes = b"") -> None:
        """Send it through a tunnel."""

    def seek(self, way: IWay) -> None:
        """Send it through the tunnel to which the way leads."""

    def hand_over(self, protocol: object, head: bytes) -> None:
        """Give the whole connection away."""


class OwnHost:
    """Answers one request to the relay's own host."""

    __slots__ = ("_asker", "_certified", "_responder", "_site")

    def __init__(self, site: Site, asker: Asker, responder: IResponder, certified: bool) -> None:
        self._site = site
        self._asker = asker
        self._responder = responder
        self._certified = certified

    def answer(self, head: RequestHead) -> None:
        """Answer it, pass it on to a tunnel named by its path, or give the connection away to the link."""
        path = head.target.partition(b"?")[0]
        if path == self._site.link_path:
            self._link(head)
        elif path == b"/healthz":
            self._page(head, b"ok\n")
        elif path == b"/":
            self._page(head, None)
        elif path.startswith(SHARES) and self._site.settings.shares is not None:
            self._asker.seek(self._site.settings.shares())
        elif path.startswith(API) and self._site.settings.api is not None:
            self._asker.pass_on(self._site.settings.api, head.target)
        else:
            self._by_path(head)

    def _link(self, head: RequestHead) -> None:
        if head.method != b"GET" or b"websocket" not in list_members(head.upgrade):
            self._refuse(head, NO_LINK)
            return
        if self._site.settings.require_certificate and not self._certified:
            self._refuse(head, NO_CERTIFICATE)
            return
        protocol = self._site.link_factory.buildProtocol(None)  # type: ignore[arg-type]
        if protocol is None or self._site.closing:
            self._refuse(head, FULL)
        else:
            self._asker.hand_over(protocol, raw_bytes(head))

    def _page(self, head: RequestHead, text: bytes | None) -> None:
        if head.method not in PAGES:
            self._refuse(head, WRONG_METHOD)
        elif text is None:
            send_start(self._responder, self._site.settings.client_line)
        else:
            send_page(self._responder, 200, PLAIN, text)

    def _by_path(self, head: RequestHead) -> None:
        found = split_path(head.target)
        tunnel = self._site.tunnels.by_name(found[0]) if found is not None else None
        if found is None or tunnel is None:
            self._refuse(head, NOT_FOUND if head.method in PAGES else WRONG_METHOD)
            return
        name, rest, query = found
        prefix = b"/" + name.encode("ascii")
        if rest is None:
            place = prefix + b"/" + query
            send_page(self._responder, 308, HTML, document("Moved", "<p>It is here.</p>"), [(b"Location", place)])
        else:
            self._asker.pass_on(tunnel, rest + query, prefix)

    def _refuse(self, head: RequestHead, refusal: Refusal) -> None:
        self._site.refuse(self._responder, refusal, head.raw)
