"""The connection to the relay: TCP, TLS where the URL asks for it, a bare link or WebSocket; and how it is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.client.greeting import plain
from egtunnel.client.link_headers import LinkHeaders
from egtunnel.client.link_tls import (
    CERTIFICATE_REQUIRED,
    LinkKind,
    LinkTlsEndpoint,
    RelayTls,
    certificate_wanted,
    lost_as,
)
from egtunnel.client.proxied import proxied
from egtunnel.client.proxies import Proxy
from egtunnel.client.relay_address import RelayAddress
from egtunnel.client.upstream import Upstream, UpstreamLimits, reach
from egtunnel.interfaces import LINK_PROTOCOL, ILink, ILinkReceiver
from egtunnel.session.bare import BareLink
from egtunnel.session.websocket import LinkLimits, link_client_factory

__all__ = ["Farewell", "Road", "open_link", "road"]

NOT_CHOSEN = (
    "what answers there does not take a bare TLS link: a proxy in between ends the TLS, or the relay is too old; "
    "--link auto falls back to a WebSocket"
)


@attrs.frozen
class Road:
    """How links come to one relay; ``certified``: we show a certificate. ``kind``: what is wanted over TLS.

    ``request`` and ``headers``: the URL that a WebSocket asks for, and what it says besides; empty: ``url``.
    """

    endpoint: IStreamClientEndpoint
    url: str
    secure: bool = False
    certified: bool = False
    kind: LinkKind = LinkKind.WEBSOCKET
    request: str = ""
    headers: dict[str, str] = attrs.field(factory=dict, repr=False)


def road(
    reactor: Any,
    relay: RelayAddress,
    tls: RelayTls,
    limits: UpstreamLimits,
    source: str = "",
    proxy: Proxy | None = None,
    headers: LinkHeaders = LinkHeaders(),  # noqa: B008 - a frozen value
) -> Road:
    """The road to a relay; with TLS its certificate is verified before a byte of ours is sent.

    ``source``: the address of this machine from which links come; empty: any. ``proxy``: what stands between; None:
    nothing. ``headers``: of the WebSocket's request.
    Raises ``ConfigurationError`` for files that are no good.
    """
    if proxy is None:
        endpoint = reach(reactor, relay.host, relay.port, source)
    else:
        endpoint = proxied(reactor, proxy, relay.host, relay.port, source)
    if relay.secure:
        endpoint = LinkTlsEndpoint(endpoint, relay.host, tls)
    kind = tls.link if relay.secure else LinkKind.WEBSOCKET
    return Road(
        Upstream(endpoint, reactor, limits),
        relay.url,
        relay.secure,
        bool(tls.certificate),
        kind,
        headers.url(relay),
        dict(headers.fields),
    )


def open_link(road: Road, clock: IReactorTime, limits: LinkLimits) -> Deferred[ILink]:
    """Connect and make the connection a link.

    Fails with the endpoint's own error, ``Refused`` where the relay wants another certificate than ours or any at all,
    or ``LinkLost`` saying what answered instead of a relay.
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

    def agreed(protocol: bytes | None) -> IProtocol | None:
        if protocol == LINK_PROTOCOL and road.kind is not LinkKind.WEBSOCKET:
            return BareLink(on_link, limits, clock, road.url)
        if road.kind is LinkKind.TLS:
            on_failed(NOT_CHOSEN, "")
            return None
        return websockets.buildProtocol(None)  # type: ignore[arg-type]

    opened: Deferred[ILink] = Deferred(cancel)
    websockets = link_client_factory(road.request or road.url, on_link, on_failed, limits, clock, road.headers)
    connecting = road.endpoint.connect(fork(agreed) if road.secure else websockets)
    connecting.addCallbacks(connections.append, not_connected)
    return opened


class Fork(Protocol):
    """Stands at a TLS connection until it is known what ALPN chose, which it is at once, and leaves it to that."""

    def __init__(self, agreed: Callable[[bytes | None], IProtocol | None]) -> None:
        self._agreed = agreed

    def connectionMade(self) -> None:
        transport: Any = self.transport
        protocol = self._agreed(transport.negotiatedProtocol)
        if protocol is None:
            transport.abortConnection()
        else:
            transport.wrappedProtocol = protocol
            protocol.makeConnection(transport)


def fork(agreed: Callable[[bytes | None], IProtocol | None]) -> IProtocolFactory:
    """For one connection: ``agreed`` makes its protocol, from what ALPN chose; None: it is of no use."""
    factory = Factory.forProtocol(lambda: Fork(agreed))
    factory.noisy = False
    return factory


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
