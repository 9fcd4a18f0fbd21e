"""What the options of a relay come to: where it listens, what it is for the world, and all of its limits."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import attrs

from egtunnel.access.external import CheckLimits
from egtunnel.access.limits import AccessLimits
from egtunnel.access.oidc.limits import LoginLimits
from egtunnel.access.webhook import WebhookLimits
from egtunnel.admin.limits import ApiLimits
from egtunnel.ingress.front.limits import FrontLimits
from egtunnel.ingress.front.networks import Networks
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.tcp import TCPLimits
from egtunnel.ingress.tls.limits import TLSLimits
from egtunnel.ingress.udp import UDPLimits
from egtunnel.limits.terms import Terms
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.admission import AdmissionLimits
from egtunnel.relay.attempts import AttemptLimits
from egtunnel.relay.claims import ClaimLimits
from egtunnel.relay.health import ServerLimits
from egtunnel.relay.reservations import ReservationLimits
from egtunnel.relay.waiting import WaitingLimits
from egtunnel.session.session import SessionLimits
from egtunnel.session.websocket import LinkLimits
from egtunnel.sharing.limits import SharingLimits
from egtunnel.store.address import StoreAddress

__all__ = ["MIB", "LogSettings", "RelayLimits", "RelaySettings", "TLSFiles", "all_addresses", "applicable"]

MIB = 1024 * 1024


@attrs.frozen
class RelayLimits:
    """All limits of a relay. Sizes in bytes, times in seconds.

    ``memory``: held for all sessions, ``session_memory``: for one. ``backlog``: connections the kernel keeps for us.
    ``expiry``: how often places that nobody came back to are looked for. ``grace``: how long visitors may go on when
    the relay is stopped, ``upgrade_grace``: when another relay has taken over; 0: as long as they want.
    ``tunnel``: what every tunnel may take at most.
    """

    tunnel: Terms = attrs.field(factory=Terms)
    access: AccessLimits = attrs.field(factory=AccessLimits)
    admission: AdmissionLimits = attrs.field(factory=AdmissionLimits)
    api: ApiLimits = attrs.field(factory=ApiLimits)
    attempts: AttemptLimits = attrs.field(factory=AttemptLimits)
    check: CheckLimits = attrs.field(factory=CheckLimits)
    claims: ClaimLimits = attrs.field(factory=ClaimLimits)
    front: FrontLimits = attrs.field(factory=FrontLimits)
    http: HTTPLimits = attrs.field(factory=HTTPLimits)
    link: LinkLimits = attrs.field(factory=LinkLimits)
    login: LoginLimits = attrs.field(factory=LoginLimits)
    reservations: ReservationLimits = attrs.field(factory=ReservationLimits)
    servers: ServerLimits = attrs.field(factory=ServerLimits)
    session: SessionLimits = attrs.field(factory=SessionLimits)
    sharing: SharingLimits = attrs.field(factory=SharingLimits)
    tcp: TCPLimits = attrs.field(factory=TCPLimits)
    tls: TLSLimits = attrs.field(factory=TLSLimits)
    udp: UDPLimits = attrs.field(factory=UDPLimits)
    waiting: WaitingLimits = attrs.field(factory=WaitingLimits)
    webhook: WebhookLimits = attrs.field(factory=WebhookLimits)
    memory: int = 512 * MIB
    session_memory: int = 64 * MIB
    backlog: int = 1024
    expiry: float = 60.0
    grace: float = 30.0
    upgrade_grace: float = 0.0


@attrs.frozen
class TLSFiles:
    """Where the relay's certificates are; true where there are any.

    ``certificate`` and ``key``: one certificate with its chain; ``folder``: many. ``client_ca``: the authority whose
    certificates clients have to show.
    """

    certificate: Path | None = None
    key: Path | None = None
    folder: Path | None = None
    client_ca: Path | None = None

    def __bool__(self) -> bool:
        return self.certificate is not None or self.folder is not None


@attrs.frozen
class LogSettings:
    """The access log. ``file``: None: none, ``-``: standard output. ``format``: ``combined`` or ``json``."""

    file: Path | str | None = None
    format: str = "combined"


@attrs.frozen
class RelaySettings:
    """Where a relay listens and what it is for the world.

    ``ports``: each takes TLS and plain connections alike. ``interface``: the address to listen on; ``::`` and the empty
    text: all; ``tcp_interface``: of TCP and UDP tunnels. ``token_file``: None: the one of ``state``. ``redirect``:
    visitors who speak plain HTTP are sent to HTTPS where there are certificates. ``trusted``: proxies whose word on a
    visitor's address is believed. ``error_pages``: a folder. ``takeover``: of the relay that runs with the same
    ``state``, if there is one. ``workers``: processes; 1: this one alone. ``store``: of tokens; None: only that of
    ``token_file`` is good. ``resolver``: the name server for proofs. ``fetch_from``:
    networks from which keys of issuers may be fetched, besides public addresses.
    ``audit_log``: a file, or ``-`` for standard output. ``api``: serve it. ``login_check``: an address that is asked
    for tokens that nobody here knows; empty: nobody is. ``interstitial``: browsers see a page before the first one.
    """

    addresses: Addresses
    state: Path
    ports: tuple[int, ...] = (7070,)
    interface: str = "127.0.0.1"
    tcp_interface: str = "127.0.0.1"
    token_file: Path | None = None
    tls: TLSFiles = attrs.field(factory=TLSFiles)
    redirect: bool = True
    trusted: Networks = attrs.field(factory=Networks)
    access_log: LogSettings = attrs.field(factory=LogSettings)
    error_pages: Path | None = None
    takeover: bool = False
    workers: int = 1
    store: StoreAddress | None = None
    resolver: tuple[str, int] | None = None
    fetch_from: tuple[IPv4Network | IPv6Network, ...] = ()
    audit_log: Path | str | None = None
    api: bool = True
    login_check: str = ""
    interstitial: bool = False
    limits: RelayLimits = attrs.field(factory=RelayLimits)


def applicable(now: RelaySettings, wanted: RelaySettings) -> RelaySettings:
    """What becomes of a relay that runs as ``now``: where it listens and what it is called stays."""
    same_tls = bool(now.tls) == bool(wanted.tls)
    return attrs.evolve(
        now,
        token_file=wanted.token_file,
        tls=wanted.tls if same_tls else now.tls,
        redirect=wanted.redirect,
        trusted=wanted.trusted,
        access_log=wanted.access_log,
        error_pages=wanted.error_pages,
        limits=attrs.evolve(wanted.limits, claims=now.limits.claims, backlog=now.limits.backlog),
    )


def all_addresses() -> str:
    """The interface that stands for all addresses of this machine: both families if it has both."""
    return "::" if socket.has_dualstack_ipv6() else ""
