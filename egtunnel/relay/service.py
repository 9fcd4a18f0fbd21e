"""The relay's composition root: what listens, who may come in, which names there are, and what is kept."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from egtunnel.configuration import default_state
from egtunnel.errors import ConfigurationError, EgtunnelError, ShuttingDown, UnknownTunnel
from egtunnel.ingress.http.ingress import HTTPIngress, HTTPLimits
from egtunnel.ingress.tcp import TCPIngress, TCPLimits
from egtunnel.interfaces import ILink
from egtunnel.mux.budget import Budget
from egtunnel.relay.addresses import Addresses, is_loopback
from egtunnel.relay.admission import AdmissionLimits, Door
from egtunnel.relay.claims import ClaimLimits, Claims
from egtunnel.relay.reservations import Owner, ReservationLimits, Reservations
from egtunnel.relay.state import Ledger, State, read_token
from egtunnel.relay.tokens import Tokens
from egtunnel.relay.tunnels import TunnelTable
from egtunnel.relay.waiting import WaitingLimits, WaitingRoom
from egtunnel.session.messages import Hello, Welcome
from egtunnel.session.session import Role, Session, SessionLimits
from egtunnel.session.transport import ChannelTransport
from egtunnel.session.websocket import LinkLimits, link_server_factory

__all__ = ["Relay", "RelayLimits", "RelaySettings", "all_addresses"]

MIB = 1024 * 1024


@attrs.frozen
class RelayLimits:
    """All limits of a relay. Sizes in bytes, times in seconds.

    ``memory``: held for all sessions, ``session_memory``: for one. ``backlog``: connections the kernel keeps for us.
    ``expiry``: how often places that nobody came back to are looked for.
    """

    admission: AdmissionLimits = attrs.field(factory=AdmissionLimits)
    claims: ClaimLimits = attrs.field(factory=ClaimLimits)
    http: HTTPLimits = attrs.field(factory=HTTPLimits)
    link: LinkLimits = attrs.field(factory=LinkLimits)
    reservations: ReservationLimits = attrs.field(factory=ReservationLimits)
    session: SessionLimits = attrs.field(factory=SessionLimits)
    tcp: TCPLimits = attrs.field(factory=TCPLimits)
    waiting: WaitingLimits = attrs.field(factory=WaitingLimits)
    memory: int = 512 * MIB
    session_memory: int = 64 * MIB
    backlog: int = 1024
    expiry: float = 60.0


@attrs.frozen
class RelaySettings:
    """Where a relay listens and what it is for the world.

    ``interface``: the address to listen on; ``::`` and the empty text: all; ``tcp_interface``: the one of TCP tunnels.
    ``token_file``: None: the one of ``state``.
    """

    addresses: Addresses
    state: Path
    port: int = 7070
    interface: str = "127.0.0.1"
    tcp_interface: str = "127.0.0.1"
    token_file: Path | None = None
    limits: RelayLimits = attrs.field(factory=RelayLimits)


def all_addresses() -> str:
    """The interface that stands for all addresses of this machine: both families if it has both."""
    return "::" if socket.has_dualstack_ipv6() else ""


class Relay(MultiService):
    """A relay, from its first port to its last file.

    Usable without twistd: ``Relay(reactor, settings).startService()``.

    :param say: takes one line for a person.
    :param on_fatal: told why the relay cannot work; nothing happens after that.
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
        self.tunnels = TunnelTable(reservations, self._room, reactor.seconds, self._ledger.changed)
        tcp = TCPIngress(reactor, settings.tcp_interface, limits.tcp)
        tcp.setServiceParent(self)
        self.tunnels.observers.append(tcp)
        self.door: Door | None = None
        self.budget = Budget(limits.memory)
        self._http = self._http_ingress()
        self._port: IListeningPort | None = None
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
        self._expiry.start(self.settings.limits.expiry, now=False)
        self._introduce()

    def stopService(self) -> Deferred[Any]:
        """Close the ports, tell every client, and write down who owns what."""
        closing = maybeDeferred(self._port.stopListening if self._port is not None else lambda: None)
        if self._expiry.running:
            self._expiry.stop()
        if self.door is not None:
            self.door.close(ShuttingDown("the relay is shutting down"))
        self._room.close()
        self._http.close()
        self._ledger.close()
        self._state.release()
        stopping = maybeDeferred(super().stopService)
        return closing.addCallback(lambda _: stopping)

    def _listen(self) -> None:
        settings = self.settings
        if self._port is not None:
            return
        try:
            self._port = self._reactor.listenTCP(
                settings.port, self._http, backlog=settings.limits.backlog, interface=settings.interface
            )
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            raise ConfigurationError(f"cannot listen on {self._where()}: {reason}") from None

    def _where(self) -> str:
        interface = self.settings.interface
        if interface in ("", "::", "0.0.0.0"):
            return f"port {self.settings.port} of all addresses"
        return f"[{interface}]:{self.settings.port}" if ":" in interface else f"{interface}:{self.settings.port}"

    # -- clients

    def _http_ingress(self) -> HTTPIngress:
        addresses, limits = self.settings.addresses, self.settings.limits
        return HTTPIngress(
            self.tunnels,
            domain=addresses.domain,
            scheme=addresses.scheme,
            port=addresses.port,
            link_path=addresses.link_path,
            link_factory=link_server_factory(self._link, limits.link, self._reactor),
            clock=self._reactor,
            limits=limits.http,
        )

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
            on_open=_no_channels,
        )
        claims = Claims(session, owner, self.tunnels, settings.addresses, limits.claims)

        def closed(error: EgtunnelError) -> None:
            claims.closed()
            door.gone(owner, session, error)

        session.on_message = claims.message
        session.on_closed = closed
        return session, Welcome(
            session_id=session.id,
            domain=settings.addresses.domain,
            heartbeat=limits.session.heartbeat,
            limits={"tunnels": limits.claims.tunnels, "channels": limits.session.mux.channels},
        )

    # -- what a person is told

    def _introduce(self) -> None:
        settings, addresses = self.settings, self.settings.addresses
        self._say(f"egrelay listens on {self._where()}; public names are {addresses.name_url('<name>')}")
        if addresses.scheme == "http" and not is_loopback(settings.interface):
            self._say(
                "Traffic is NOT encrypted: put a TLS proxy in front (etc/nginx.conf shows how) and give "
                f"--public-url https://{addresses.domain}"
            )
        token_file = settings.token_file or settings.state / "token"
        self._say(f"Connect a client: {addresses.client_line(token_file, default_state() / 'token')}")


def _no_channels(channel: ChannelTransport, metadata: dict[str, Any]) -> None:
    """A client opens channels to nothing: all visitors are on our side."""
    channel.reset(UnknownTunnel("the relay offers no tunnels"))
