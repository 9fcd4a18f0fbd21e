"""Would a client with these options work? One step after the other, the first that fails with what to do about it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from egtunnel import __version__
from egtunnel.client.certificate_names import names_of
from egtunnel.client.connection import open_link, road
from egtunnel.client.greeting import GreetingLimits, greet
from egtunnel.client.link_headers import LinkHeaders
from egtunnel.client.link_tls import LinkTlsEndpoint, RelayTls
from egtunnel.client.offers import Offer
from egtunnel.client.proxied import proxied
from egtunnel.client.proxies import Proxy
from egtunnel.client.relay_address import RelayAddress
from egtunnel.client.resolving import addresses_of
from egtunnel.client.upstream import Upstream, UpstreamLimits, reach
from egtunnel.errors import EgtunnelError, HandshakeError, LinkLost
from egtunnel.interfaces import ILink, Visitor
from egtunnel.mux.budget import Budget
from egtunnel.mux.mux import Role
from egtunnel.session.messages import Hello, Welcome
from egtunnel.session.session import Session, SessionLimits
from egtunnel.session.websocket import LinkLimits

__all__ = ["RelayCheck", "Tell", "check_services"]

Tell = Callable[[str, bool, str], None]
"""Takes what was looked at, whether it is good, and a text."""
ROUND_TRIP = 10.0
"""Seconds that a relay has to answer a PING."""
LOOK = 0.01
CHECK_BUDGET = 1 << 20

_ADVICE = {
    "name": "is it spelled right, and does this machine have a working name server?",
    "TCP": "is it running there, is the port right, does a firewall let us out? If only a proxy leads out: --proxy",
    "proxy": "",
    "TLS": "",
    "link": "is that a relay, and is --link-path right? A proxy in between may pass no WebSockets: try --link tls",
    "token": "",
    "round trip": "the connection stands but carries nothing: something in between holds it back",
}


async def check_services(offers: Sequence[Offer], reactor: Any, tell: Tell) -> None:
    """Whether each local service takes a connection."""
    for offer in offers:
        if offer.kind in ("visit", "udp"):  # nothing that could be asked
            continue
        what = f"service {offer.target.text}"
        try:
            dialer = offer.dialer(reactor, UpstreamLimits())
            await _opened(dialer(Visitor("check", "127.0.0.1", 0)))
            tell(what, True, "answers")
        except EgtunnelError as error:
            tell(what, False, error.text)


@attrs.define
class RelayCheck:
    """The way to one relay, up to being let in; nothing is published, and a client that runs is not disturbed.

    :param token: gives the token; may raise ``Refused``.
    """

    reactor: Any
    relay: RelayAddress
    tls: RelayTls
    token: Callable[[], str]
    proxy: Proxy | None = None
    headers: LinkHeaders = attrs.field(factory=LinkHeaders)
    insecure: bool = False
    _link: ILink | None = None
    _welcome: tuple[Welcome, bytes] | None = None

    async def run(self, tell: Tell) -> None:
        """All steps, or those up to the first that fails."""
        steps: dict[str, Callable[[], Awaitable[str]]] = {
            "name": self._name,
            "TCP": self._tcp,
            "proxy": self._proxy,
            "TLS": self._tls,
            "link": self._open_link,
            "token": self._log_in,
            "round trip": self._round_trip,
        }
        for step, take in steps.items():
            what = f"relay {self.relay.url}, {step}"
            try:
                text = await take()
            except Exception as error:  # noqa: BLE001 - whatever a connection fails with is what is asked for
                tell(what, False, _worded(error, step))
                break
            if text:
                tell(what, True, text)
        if self._link is not None:
            self._link.abort()

    @property
    def _next(self) -> tuple[str, int]:
        """Whom we connect to ourselves."""
        return (self.relay.host, self.relay.port) if self.proxy is None else (self.proxy.host, self.proxy.port)

    def _endpoint(self) -> IStreamClientEndpoint:
        if self.proxy is None:
            return reach(self.reactor, self.relay.host, self.relay.port)
        return proxied(self.reactor, self.proxy, self.relay.host, self.relay.port)

    async def _name(self) -> str:
        host, _ = self._next
        if _is_address(host) or host == "localhost" or host.endswith(".localhost"):
            return f"{host} needs no look-up"
        addresses = await addresses_of(self.reactor, host)
        if not addresses:
            raise LinkLost(f"{host} was not found")
        return f"{host} is {', '.join(addresses)}"

    async def _tcp(self) -> str:
        host, port = self._next
        await _opened(Upstream(reach(self.reactor, host, port), self.reactor, UpstreamLimits()))
        return f"{host} takes connections on port {port}"

    async def _proxy(self) -> str:
        if self.proxy is None:
            return ""
        await _opened(Upstream(self._endpoint(), self.reactor, UpstreamLimits()))
        return f"{self.proxy.shown} leads to the relay"

    async def _tls(self) -> str:
        if not self.relay.secure:
            return ""
        endpoint = LinkTlsEndpoint(self._endpoint(), self.relay.host, self.tls)
        shown: list[Any] = []
        await _opened(
            Upstream(endpoint, self.reactor, UpstreamLimits()),
            lambda transport: shown.append(transport.getPeerCertificate().to_cryptography()),
        )
        names = ", ".join(names_of(shown[0])[:4])
        return f"the certificate is good until {shown[0].not_valid_after_utc:%Y-%m-%d}, for {names}"

    async def _open_link(self) -> str:
        way = road(self.reactor, self.relay, self.tls, UpstreamLimits(), proxy=self.proxy, headers=self.headers)
        self._link = link = await open_link(way, self.reactor, LinkLimits())
        return f"a {link.kind} link stands"

    async def _log_in(self) -> str:
        if self._link is None:
            raise LinkLost
        if not (self.relay.secure or self.relay.loopback or self.insecure):
            raise LinkLost(
                f"it would travel unencrypted to {self.relay.host}: use a wss:// or https:// URL, or --insecure",
            )
        hello = Hello(token=self.token(), client_id=os.urandom(16).hex(), agent=f"egtunnel/{__version__} check")
        self._welcome = await greet(self._link, hello, self.reactor, GreetingLimits())
        return f"lets us in; names are below {self._welcome[0].domain}"

    async def _round_trip(self) -> str:
        if self._link is None or self._welcome is None:
            raise LinkLost
        limits = SessionLimits(resume=0.0)
        session = Session(role=Role.CLIENT, clock=self.reactor, limits=limits, budget=Budget(CHECK_BUDGET))
        session.attach(self._link)
        if self._welcome[1]:
            session.link_message(self._welcome[1])
        deadline = self.reactor.seconds() + ROUND_TRIP
        while session.round_trip is None:
            if session.closed is not None:
                raise session.closed
            if self.reactor.seconds() > deadline:
                raise HandshakeError(f"no answer within {ROUND_TRIP:g} seconds")
            await _later(self.reactor, LOOK)
        return f"took {session.round_trip * 1000:.0f} ms or less"


async def _opened(endpoint: IStreamClientEndpoint, look: Callable[[Any], None] = lambda transport: None) -> None:
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False
    protocol: Any = await endpoint.connect(factory)
    look(protocol.transport)
    protocol.transport.abortConnection()


def _later(reactor: Any, seconds: float) -> Deferred[None]:
    waited: Deferred[None] = Deferred()
    reactor.callLater(seconds, waited.callback, None)
    return waited


def _worded(error: Exception, step: str) -> str:
    text = (getattr(error, "text", "") or str(error) or type(error).__name__).rstrip(".")
    return f"{text}; {_ADVICE[step]}" if _ADVICE[step] else text


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
