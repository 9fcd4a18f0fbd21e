"""The relay's composition root: what listens, who may come in, which names there are, and what is kept."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import attrs
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from egtunnel.configuration import default_state
from egtunnel.errors import ConfigurationError, EgtunnelError, ShuttingDown, UnknownTunnel
from egtunnel.ingress.front.door import FrontDoor
from egtunnel.ingress.http.access_log import open_access_log
from egtunnel.ingress.http.error_pages import ErrorPages
from egtunnel.ingress.http.ingress import HTTPIngress, SiteSettings
from egtunnel.ingress.tcp import TCPIngress
from egtunnel.ingress.tls.certificates import Certificates
from egtunnel.ingress.tls.terminator import Terminator
from egtunnel.interfaces import ILink
from egtunnel.mux.budget import Budget
from egtunnel.relay.addresses import is_local, is_loopback
from egtunnel.relay.admission import Door
from egtunnel.relay.claims import Claims
from egtunnel.relay.listeners import Listeners
from egtunnel.relay.reservations import Owner, Reservations
from egtunnel.relay.settings import RelaySettings, TLSFiles
from egtunnel.relay.state import Ledger, State, read_token
from egtunnel.relay.tokens import Tokens
from egtunnel.relay.tunnels import TunnelTable
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.session.messages import Hello, Welcome
from egtunnel.session.session import Role, Session
from egtunnel.session.transport import ChannelTransport
from egtunnel.session.websocket import link_server_factory

__all__ = ["Relay"]


class Relay(MultiService):
    """A relay, from its first port to its last file.

    Usable without twistd: ``Relay(reactor, settings).startService()``.

    :param say: takes one line for a person.
    :param on_fatal: told why the relay cannot work; nothing happens after that.
    :raises ConfigurationError: the access log cannot be written.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: RelaySettings,
        *,
        say: Callable[[str], None] = lambda line: None,
        on_fatal: Callable[[EgtunnelError], None] = lambda error: None,
        random_text: Callable[[], str] = lambda: secrets.token_hex(8),
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._reactor = reactor
        self._say = say
        self._on_fatal = on_fatal
        self._random_text = random_text
        limits = settings.limits
        self._state = State(settings.state, say)
        reservations = Reservations(limits.reservations)
        self._ledger = Ledger(settings.state / "names.json", reservations, reactor, wall, say)
        self._room = WaitingRoom(reactor, limits.waiting)
        self.tunnels = TunnelTable(
            reservations,
            self._room,
            reactor.seconds,
            self._ledger.changed,
            random_text=random_text,
            limits=limits.servers,
        )
        tcp = TCPIngress(reactor, settings.tcp_interface, limits.tcp)
        tcp.setServiceParent(self)
        self.tunnels.observers.append(tcp)
        self.door: Door | None = None
        self.budget = Budget(limits.memory)
        log = settings.access_log
        self._access_log = open_access_log(log.file, log.format, reactor, wall, say) if log.file else None
        self._http = self._http_ingress()
        self._certificates = self._certificates_of(settings.tls) if settings.tls else None
        self._front = self._front_door()
        self._listeners = Listeners(reactor, settings.ports, settings.interface, limits.backlog)
        self._expiry = LoopingCall(self.tunnels.expire)
        self._expiry.clock = reactor
        self._failed = False

    # -- the service

    def privilegedStartService(self) -> None:
        """Listen, as long as we may use a port below 1024."""
        super().privilegedStartService()
        self._attempt(self._listen)

    def startService(self) -> None:
        """Read what is kept, open for clients, and say so."""
        super().startService()
        self._attempt(self._open)

    def _attempt(self, step: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            step()
        except ConfigurationError as error:
            self._failed = True
            self._on_fatal(error)

    def _open(self) -> None:
        self._listen()
        self._state.hold()
        token = read_token(self.settings.token_file) if self.settings.token_file else self._state.token()
        self._ledger.load()
        self.tunnels.restore()
        self.door = Door(Tokens([token]), self._admitted, self._reactor, self.settings.limits.admission)
        if self._certificates is not None:
            self._certificates.start()
        self._expiry.start(self.settings.limits.expiry, now=False)
        self._introduce()

    def stopService(self) -> Deferred[Any]:
        """Close the ports, tell every client, and write down who owns what."""
        closing = self._listeners.close()
        if self._expiry.running:
            self._expiry.stop()
        if self._certificates is not None:
            self._certificates.stop()
        if self.door is not None:
            self.door.close(ShuttingDown("the relay is shutting down"))
        self._room.close()
        self._front.close()
        self._http.close()
        if self._access_log is not None:
            self._access_log.close()
        self._ledger.close()
        self._state.release()
        stopping = maybeDeferred(super().stopService)
        return closing.addCallback(lambda _: stopping)

    def _listen(self) -> None:
        """Keys are often readable, as ports are open, only to who starts us."""
        if self._certificates is not None and not self._certificates.loaded:
            self._certificates.load()
        self._listeners.listen(self._front)

    # -- visitors

    def _http_ingress(self) -> HTTPIngress:
        settings, addresses, limits = self.settings, self.settings.addresses, self.settings.limits
        return HTTPIngress(
            self.tunnels,
            domain=addresses.domain,
            scheme=addresses.scheme,
            port=addresses.port,
            link_path=addresses.link_path,
            link_factory=link_server_factory(self._link, limits.link, self._reactor),
            clock=self._reactor,
            limits=limits.http,
            settings=SiteSettings(
                redirect=bool(settings.tls) and settings.redirect,
                client_line=addresses.public_line(),
                access_log=self._access_log,
                error_pages=ErrorPages(settings.error_pages) if settings.error_pages else None,
                require_certificate=settings.tls.client_ca is not None,
            ),
        )

    def _front_door(self) -> FrontDoor:
        """Where there are no certificates, a relay that is HTTPS for the world stands behind a proxy that ends TLS."""
        settings, certificates = self.settings, self._certificates
        return FrontDoor(
            self._http,
            self._reactor,
            terminator=None if certificates is None else Terminator(certificates, self._reactor, settings.limits.tls),
            trusted=settings.trusted,
            scheme="http" if settings.tls else settings.addresses.scheme,
            limits=settings.limits.front,
        )

    def _certificates_of(self, tls: TLSFiles) -> Certificates:
        files = (tls.certificate, tls.key) if tls.certificate and tls.key else None
        return Certificates(
            self._reactor,
            self.settings.addresses.domain,
            files=files,
            folder=tls.folder,
            authority=tls.client_ca,
            say=self._say,
            limits=self.settings.limits.tls,
        )

    # -- clients

    def _link(self, link: ILink) -> None:
        if self.door is None:
            link.close(ShuttingDown.code, "the relay is not open")
        else:
            self.door.link(link)

    def _admitted(self, door: Door, owner: Owner, hello: Hello) -> tuple[Session, Welcome]:
        """The session of a client that may come in."""
        settings, limits = self.settings, self.settings.limits
        session = Session(
            role=Role.RELAY,
            clock=self._reactor,
            limits=limits.session,
            budget=Budget(limits.session_memory, self.budget),
            id=self._random_text(),
            secret=self._random_text() + self._random_text(),
            on_open=_no_channels,
        )
        claims = Claims(session, owner, self.tunnels, settings.addresses, limits.claims)

        def closed(error: EgtunnelError) -> None:
            claims.closed()
            door.gone(owner, session, error)

        session.on_message = claims.message
        session.on_away = lambda error: claims.unheard()
        session.on_back = claims.back
        session.on_closed = closed
        return session, Welcome(
            session_id=session.id,
            domain=settings.addresses.domain,
            heartbeat=limits.session.heartbeat,
            resume_secret=session.secret,
            resume_window=limits.session.resume,
            limits={"tunnels": limits.claims.tunnels, "channels": limits.session.mux.channels},
        )

    # -- what a person is told

    def _introduce(self) -> None:
        settings, addresses = self.settings, self.settings.addresses
        self._say(f"egrelay listens on {self._listeners.where()}; public names are {addresses.name_url('<name>')}")
        if addresses.scheme == "http" and not is_loopback(settings.interface):
            self._say(
                "Traffic is NOT encrypted: give --tls-cert and --tls-key, or --tls-dir; "
                f"behind a TLS proxy give --public-url https://{addresses.domain}"
            )
        if settings.tls and is_local(addresses.domain):
            addresses = attrs.evolve(addresses, scheme="http")  # within this machine TLS would only ask for its --ca
        token_file = settings.token_file or settings.state / "token"
        self._say(f"Connect a client: {addresses.client_line(token_file, default_state() / 'token')}")


def _no_channels(channel: ChannelTransport, metadata: dict[str, Any]) -> None:
    """A client opens channels to nothing: all visitors are on our side."""
    channel.reset(UnknownTunnel("the relay offers no tunnels"))
