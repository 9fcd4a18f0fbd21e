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
from egtunnel.ingress.http.access_log import AccessLog, open_access_log
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
from egtunnel.relay.departure import Departure
from egtunnel.relay.handover import Handover
from egtunnel.relay.inherited import Inherited
from egtunnel.relay.listeners import Listeners
from egtunnel.relay.reservations import Owner, Reservations
from egtunnel.relay.settings import LogSettings, RelaySettings, TLSFiles, applicable
from egtunnel.relay.state import Ledger, State, read_token
from egtunnel.relay.takeover import Takeover
from egtunnel.relay.tokens import Tokens
from egtunnel.relay.tunnels import TunnelTable
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.session.messages import Welcome
from egtunnel.session.session import Role, Session
from egtunnel.session.transport import ChannelTransport
from egtunnel.session.websocket import link_server_factory
from egtunnel.signals import Signals

__all__ = ["Relay"]


class Relay(MultiService):
    """A relay, from its first port to its last file.

    Usable without twistd: ``Relay(reactor, settings).startService()``.

    :param say: takes one line for a person.
    :param on_fatal: told why the relay cannot work; nothing happens after that.
    :param on_left: told that another relay has taken over and the last visitor of ours has gone.
    :param inherited: sockets that listen already.
    :param signals: a second one ends a relay that waits for its visitors; None: there are none.
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
        on_left: Callable[[], None] = lambda: None,
        inherited: Inherited | None = None,
        signals: Signals | None = None,
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
        changed = self._ledger.changed
        self.tunnels = TunnelTable(
            reservations, self._room, reactor.seconds, changed, random_text=random_text, limits=limits.servers
        )
        self._inherited = inherited or Inherited()
        self._on_left = on_left
        self._tcp = TCPIngress(reactor, settings.tcp_interface, limits.tcp, self._inherited.tunnels)
        self._tcp.setServiceParent(self)
        self.tunnels.observers.append(self._tcp)
        self.door: Door | None = None
        self.budget = Budget(limits.memory)
        self._wall = wall
        self._access_log = self._opened(settings.access_log)
        self._http = self._http_ingress()
        self._certificates = self._certificates_of(settings.tls) if settings.tls else None
        self._terminator = None if self._certificates is None else Terminator(self._certificates, reactor, limits.tls)
        self._front = self._front_door()
        self._listeners = Listeners(reactor, settings.ports, settings.interface, limits.backlog, self._inherited.ports)
        self._takeover = Takeover(settings.state) if settings.takeover else None
        self._departure = Departure(
            reactor,
            listeners=self._listeners,
            tcp=self._tcp,
            http=self._http,
            state=self._state,
            ledger=self._ledger,
            visitors=lambda: self._front.census.visitors + self._tcp.connections,
            send_away=self._send_away,
            say=say,
            signals=signals,
        )
        self._handover = Handover(
            reactor, settings.state, freeze=self._departure.freeze, thaw=self._departure.thaw, left=self._leave
        )
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
        tokens = self._tokens(self.settings)
        self._ledger.load()
        self.tunnels.restore()
        self._inherited.close()
        self.door = Door(tokens, self._admitted, self._reactor, self.settings.limits.admission)
        if self._certificates is not None:
            self._certificates.start()
        self._expiry.start(self.settings.limits.expiry, now=False)
        self._handover.listen()
        if self._takeover is not None:
            self._takeover.ready()
        self._introduce()

    def _tokens(self, settings: RelaySettings) -> Tokens:
        return Tokens([read_token(settings.token_file) if settings.token_file else self._state.token()])

    def stopService(self) -> Deferred[Any]:
        """Close the ports, let visitors finish within the grace, tell every client, and write down who owns what."""
        closing = self._departure.close_ports()
        self._handover.close()
        drained = self._departure.stop(self.settings.limits.grace if self.door is not None else 0.0)
        ended = self._end() if drained is None else drained.addCallback(lambda _: self._end())
        return ended.addCallback(lambda _: closing)

    def _end(self) -> Deferred[Any]:
        """Close everything, now."""
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
        return maybeDeferred(super().stopService)

    def _listen(self) -> None:
        """Keys are often readable, as ports are open, only to who starts us."""
        if self._certificates is not None and not self._certificates.loaded:
            self._certificates.load()
        if self._takeover is not None and not self._listeners.open:
            self._take_over(self._takeover)
        self._listeners.listen(self._front)

    def _take_over(self, takeover: Takeover) -> None:
        """Have the sockets of the relay that runs; it stops accepting, and what comes meanwhile waits in them."""
        theirs = takeover.begin()
        if theirs is None:
            self._say(f"no relay runs with the state folder {self.settings.state}: nothing is taken over")
        else:
            self._inherited.ports.update(theirs.ports)
            self._inherited.tunnels.update(theirs.tunnels)

    def _leave(self) -> None:
        """Another relay has begun in our place."""
        if self._expiry.running:
            self._expiry.stop()
        self._departure.leave(self.settings.limits.upgrade_grace).addCallback(lambda _: self._on_left())

    def _send_away(self, error: EgtunnelError) -> None:
        if self.door is not None:
            self.door.leave(error)

    # -- other settings while we run

    def change(self, settings: RelaySettings) -> None:
        """Apply what can be applied to a relay that runs, for what begins from now on; read all files again.

        Raises ConfigurationError, and nothing has changed.
        """
        if self.door is None:
            raise ConfigurationError("the relay is not open")
        earlier, self.settings = self.settings, applicable(self.settings, settings)
        try:
            tokens, certificates, access_log = self._prepared(earlier)
        except ConfigurationError:
            self.settings = earlier
            raise
        tokens.replace(self.door.tokens)
        self.door.tokens = tokens
        self._ledger.renamed = tokens.renamed
        self._ledger.changed()
        self._serve(certificates)
        self._write_to(access_log)
        self._apply(self.settings, self.door)

    def _prepared(self, earlier: RelaySettings) -> tuple[Tokens, Certificates | None, AccessLog | None]:
        """All that may fail; certificates and access log: None where the same files are served and written on."""
        settings, certificates = self.settings, None
        tokens = self._tokens(settings)
        if settings.tls != earlier.tls:
            certificates = self._certificates_of(settings.tls)
            certificates.load()
        elif self._certificates is not None:
            self._certificates.check()
        same = settings.access_log == earlier.access_log
        return tokens, certificates, None if same else self._opened(settings.access_log)

    def _serve(self, certificates: Certificates | None) -> None:
        if self._certificates is None or self._terminator is None:
            return
        if certificates is None:
            self._certificates.anew()
            return
        self._certificates.stop()
        self._certificates = self._terminator.certificates = certificates
        certificates.start()

    def _write_to(self, access_log: AccessLog | None) -> None:
        if access_log is None and self.settings.access_log.file is not None and self._access_log is not None:
            self._access_log.reopen()
            return
        if self._access_log is not None:
            self._access_log.close()
        self._access_log = access_log

    def _apply(self, settings: RelaySettings, door: Door) -> None:
        limits = settings.limits
        self._http.change(limits.http, self._site(settings))
        self._front.change(limits.front, settings.trusted)
        if self._terminator is not None:
            self._terminator.limits = limits.tls
        door.limits = limits.admission
        self._room.limits = limits.waiting
        self.tunnels.reservations.limits = limits.reservations
        self.budget.limit = limits.memory

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
            settings=self._site(settings),
        )

    def _site(self, settings: RelaySettings) -> SiteSettings:
        return SiteSettings(
            redirect=bool(settings.tls) and settings.redirect,
            client_line=settings.addresses.public_line(),
            access_log=self._access_log,
            error_pages=ErrorPages(settings.error_pages) if settings.error_pages else None,
            require_certificate=settings.tls.client_ca is not None,
        )

    def _opened(self, log: LogSettings) -> AccessLog | None:
        return open_access_log(log.file, log.format, self._reactor, self._wall, self._say) if log.file else None

    def _front_door(self) -> FrontDoor:
        """Where there are no certificates, a relay that is HTTPS for the world stands behind a proxy that ends TLS."""
        settings = self.settings
        return FrontDoor(
            self._http,
            self._reactor,
            terminator=self._terminator,
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

    def _admitted(self, door: Door, owner: Owner, beside: Session | None) -> tuple[Session, Welcome]:
        """The session of a client that may come in, or a companion of the one it has."""
        settings, limits = self.settings, self.settings.limits
        session = Session(
            role=Role.RELAY,
            clock=self._reactor,
            limits=limits.session,
            budget=Budget(limits.session_memory, self.budget) if beside is None else beside.budget,
            id=self._random_text(),
            secret=self._random_text() + self._random_text(),
            on_open=_no_channels,
        )
        session.on_closed = lambda error: door.gone(owner, session, error)
        if beside is None:
            self._take_claims(session, owner, door)
        else:
            session.on_back = beside.on_back
        return session, Welcome(
            session_id=session.id,
            domain=settings.addresses.domain,
            heartbeat=limits.session.heartbeat,
            resume_secret=session.secret,
            resume_window=limits.session.resume,
            limits={"tunnels": limits.claims.tunnels, "channels": limits.session.mux.channels},
        )

    def _take_claims(self, session: Session, owner: Owner, door: Door) -> None:
        """Let the client have names, for as long as the session lasts."""
        claims = Claims(session, owner, self.tunnels, self.settings.addresses, self.settings.limits.claims)

        def closed(error: EgtunnelError) -> None:
            claims.closed()
            door.gone(owner, session, error)

        session.on_message = claims.message
        session.on_away = claims.unheard
        session.on_back = claims.back
        session.on_closed = closed

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
