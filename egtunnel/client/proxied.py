"""Through a proxy: an endpoint that asks it for the way to a host, and leaves the connection to who wanted it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.client.http_connect import ConnectRequest
from egtunnel.client.proxies import Proxy
from egtunnel.client.socks import SocksRequest
from egtunnel.client.upstream import reach, why
from egtunnel.client.upstream_tls import TlsTrust, over_tls
from egtunnel.client.way import ProxyRefused, WayRequest
from egtunnel.errors import LinkLost

__all__ = ["Proxied", "proxied"]


def proxied(reactor: Any, proxy: Proxy, host: str, port: int, source: str = "") -> IStreamClientEndpoint:
    """The endpoint of a host behind a proxy; ``source``: our own address towards the proxy, empty: any."""
    endpoint = reach(reactor, proxy.host, proxy.port, source)
    if proxy.kind == "https":
        endpoint = over_tls(proxy.host, TlsTrust())(endpoint)
    make = SocksRequest if proxy.kind == "socks5" else ConnectRequest
    return Proxied(endpoint, proxy, lambda: make(host, port, proxy.user, proxy.password))


@implementer(IStreamClientEndpoint)
class Proxied:
    """Connected means that the proxy has opened the way. Fails with ``LinkLost`` that names the proxy."""

    def __init__(self, endpoint: IStreamClientEndpoint, proxy: Proxy, ask: Callable[[], WayRequest]) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
        self._ask = ask

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Ask for the way; cancelling ends the connection to the proxy."""
        asking: list[Asking] = []

        def cancel(_: Deferred[IProtocol]) -> None:
            connecting.cancel()
            for each in asking:
                each.give_up()

        def build() -> Asking:
            asking.append(Asking(self._ask(), protocolFactory, opened))
            return asking[-1]

        def failed(reason: Failure) -> None:
            if not opened.called:
                opened.errback(reason)

        opened: Deferred[IProtocol] = Deferred(cancel)
        factory = Factory.forProtocol(build)
        factory.noisy = False
        connecting = self._endpoint.connect(factory)
        connecting.addErrback(failed)
        return opened.addErrback(self._worded)

    def _worded(self, reason: Failure) -> Failure:
        return Failure(LinkLost(f"the proxy {self._proxy.shown}: {why(reason).text}"))


class Asking(Protocol):
    """Stands at the connection to the proxy until the way is open, then leaves it to the real protocol."""

    def __init__(self, request: WayRequest, factory: IProtocolFactory, opened: Deferred[IProtocol]) -> None:
        self._request = request
        self._factory = factory
        self._opened = opened

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self._request.begin())

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        try:
            answer = self._request.received(data)
        except ProxyRefused as error:
            self._fail(error)
            return
        if answer:
            transport.write(answer)
        if self._request.rest is not None:
            self._leave(self._request.rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._fail(ProxyRefused("it closed the connection without an answer"))

    def give_up(self) -> None:
        """Nobody waits any more."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def _leave(self, rest: bytes) -> None:
        transport: Any = self.transport
        protocol: Any = self._factory.buildProtocol(transport.getPeer())
        if self._opened.called or protocol is None:
            transport.abortConnection()
            return
        if hasattr(transport, "wrappedProtocol"):  # TLS towards the proxy
            transport.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        protocol.makeConnection(transport)
        self._opened.callback(protocol)
        if rest:
            protocol.dataReceived(rest)

    def _fail(self, error: ProxyRefused) -> None:
        self.give_up()
        if not self._opened.called:
            self._opened.errback(error)
