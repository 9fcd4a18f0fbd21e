"""The connection to the relay: TCP, TLS where the URL asks for it, WebSocket; and how it is left."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.client.greeting import plain
from egtunnel.client.link_tls import LinkTlsEndpoint, RelayTls, certificate_wanted, lost_as
from egtunnel.client.relay_address import RelayAddress
from egtunnel.client.upstream import Upstream, UpstreamLimits, reach
from egtunnel.interfaces import ILink, ILinkReceiver
from egtunnel.session.websocket import LinkLimits, link_client_factory

__all__ = ["Farewell", "Road", "open_link", "road"]

CERTIFICATE_REQUIRED = "certificate-required"
"""The word of a relay that refuses a link for want of a certificate (docs/reference.md, "Errors")."""


@attrs.frozen
class Road:
    """How links come to one relay; ``certified``: we show a certificate."""

    endpoint: IStreamClientEndpoint
    url: str
    secure: bool = False
    certified: bool = False


def road(reactor: Any, relay: RelayAddress, tls: RelayTls, limits: UpstreamLimits, source: str = "") -> Road:
    """The road to a relay; with TLS its certificate is verified before a byte of ours is sent.

    ``source``: the address of this machine from which links come; empty: any.
    Raises ``ConfigurationError`` for files that are no good.
    """
    endpoint = reach(reactor, relay.host, relay.port, source)
    if relay.secure:
        endpoint = LinkTlsEndpoint(endpoint, relay.host, tls)
    return Road(Upstream(endpoint, reactor, limits), relay.url, relay.secure, bool(tls.certificate))


def open_link(road: Road, clock: IReactorTime, limits: LinkLimits) -> Deferred[ILink]:
    """Connect and make the connection a link.

    Fails with the endpoint's own error, ``Refused`` where the relay wants another certificate than ours or any at all,
    or ``LinkLost`` saying what answered instead of a WebSocket.
    """
    connections: list[Any] = []

    def cancel(_: Deferred[ILink]) -> None:
        connecting.cancel()
        for protocol in connections:
            protocol.transport.abortConnection()

    def on_failed(text: str, word: str) -> None:
        if opened.called:
            return
        if word == CERTIFICATE_REQUIRED:
            opened.errback(certificate_wanted(road.certified, road.secure))
        else:
            opened.errback(lost_as(plain(text), road.certified))

    def on_link(link: ILink) -> None:
        if opened.called:
            link.abort()
        else:
            opened.callback(link)

    def not_connected(reason: Failure) -> None:
        if not opened.called:
            opened.errback(reason)

    opened: Deferred[ILink] = Deferred(cancel)
    connecting = road.endpoint.connect(link_client_factory(road.url, on_link, on_failed, limits, clock))
    connecting.addCallbacks(connections.append, not_connected)
    return opened


@implementer(ILinkReceiver)
class Farewell:
    """Waits for the end of a link that is being closed."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def link_message(self, data: bytes) -> None:
        """Too late."""

    def link_paused(self) -> None:
        """Nothing more is sent."""

    def link_resumed(self) -> None:
        """Nothing more is sent."""

    def link_lost(self, reason: str) -> None:
        """The link is gone."""
        if not self.gone.called:
            self.gone.callback(None)
