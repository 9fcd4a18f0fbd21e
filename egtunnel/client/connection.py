"""The connection to the relay: TCP, TLS where the URL asks for it, WebSocket; and how it is left."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.client.greeting import plain
from egtunnel.client.relay_address import RelayAddress
from egtunnel.client.upstream import Upstream, UpstreamLimits, reach
from egtunnel.client.upstream_tls import TlsTrust, over_tls
from egtunnel.errors import LinkLost
from egtunnel.interfaces import ILink, ILinkReceiver
from egtunnel.session.websocket import LinkLimits, link_client_factory

__all__ = ["Farewell", "open_link", "relay_endpoint"]


def relay_endpoint(reactor: Any, relay: RelayAddress, trust: TlsTrust, limits: UpstreamLimits) -> IStreamClientEndpoint:
    """Where to connect; with TLS the relay's certificate is verified before a byte of ours is sent."""
    endpoint = reach(reactor, relay.host, relay.port)
    if relay.secure:
        endpoint = over_tls(endpoint, relay.host, trust)
    return Upstream(endpoint, reactor, limits)


def open_link(endpoint: IStreamClientEndpoint, url: str, clock: IReactorTime, limits: LinkLimits) -> Deferred[ILink]:
    """Connect and make the connection a link.

    Fails with the endpoint's own error, or with ``LinkLost`` saying what answered instead of a WebSocket.
    """
    connections: list[Any] = []

    def cancel(_: Deferred[ILink]) -> None:
        connecting.cancel()
        for protocol in connections:
            protocol.transport.abortConnection()

    def on_failed(text: str) -> None:
        if not opened.called:
            opened.errback(LinkLost(plain(text)))

    def on_link(link: ILink) -> None:
        if opened.called:
            link.abort()
        else:
            opened.callback(link)

    def not_connected(reason: Failure) -> None:
        if not opened.called:
            opened.errback(reason)

    opened: Deferred[ILink] = Deferred(cancel)
    connecting = endpoint.connect(link_client_factory(url, on_link, on_failed, limits, clock))
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
