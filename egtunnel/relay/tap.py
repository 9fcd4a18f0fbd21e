"""``twistd egrelay``: options in, a running relay out."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.application.service import IService, MultiService
from twisted.python.usage import UsageError

from egtunnel.clock import install_monotonic
from egtunnel.configuration import (
    ConfiguredOptions,
    default_state,
    folder,
    interface,
    number,
    one_of,
    parameter,
    port,
    whole_number,
)
from egtunnel.descriptors import raise_descriptor_limit
from egtunnel.eager_loop import shorten
from egtunnel.errors import ConfigurationError, EgtunnelError, Refused
from egtunnel.garbage import collect_seldom
from egtunnel.hangup import Hangup
from egtunnel.ingress.front.limits import FrontLimits
from egtunnel.ingress.front.networks import Networks, read_networks
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.tcp import TCPLimits
from egtunnel.ingress.tls.limits import TLSLimits
from egtunnel.ingress.udp import UDPLimits
from egtunnel.mux.mux import MuxLimits
from egtunnel.relay.addresses import Addresses, is_local, parse_public_url
from egtunnel.relay.admission import AdmissionLimits
from egtunnel.relay.claims import ClaimLimits
from egtunnel.relay.inherited import Inherited, sockets_of_systemd
from egtunnel.relay.limit_options import LIMIT_PARAMETERS, read_bounds
from egtunnel.relay.names import canonical, check_host
from egtunnel.relay.reload import Reload
from egtunnel.relay.reservations import ReservationLimits
from egtunnel.relay.service import Relay
from egtunnel.relay.settings import MIB, LogSettings, RelayLimits, RelaySettings, TLSFiles, all_addresses
from egtunnel.relay.token_options import TOKEN_PARAMETERS, file_or_output, store_of
from egtunnel.relay.waiting import WaitingLimits
from egtunnel.relay.workers.crew import Launch, usable_cores
from egtunnel.relay.workers.post import Post, post_of
from egtunnel.relay.workers.supervisor import Supervisor
from egtunnel.relay.workers.worker import Worker
from egtunnel.session.session import SessionLimits
from egtunnel.signals import Signals
from egtunnel.terminal import Terminal, own_pidfile

__all__ = ["Options", "makeService"]

DAY = 86_400
LOOPBACK = "127.0.0.1"


def domain(text: str) -> str:
    """Reads the relay's domain."""
    name = canonical(text)
    if name == "localhost":
        return name
    try:
        return check_host(name, "")
    except Refused:
        raise ValueError("it must be a domain name such as tunnels.example.com") from None


def link_path(text: str) -> str:
    """Reads the path of the WebSocket."""
    if (
        not text.startswith("/")
        or text == "/"
        or not text.isascii()
        or not text.isprintable()
        or set(text) & set(" ?#%")
    ):
        raise ValueError("it must start with / and hold no spaces, ?, # or %")
    return text


def port_range(text: str) -> range:
    """Reads ``first-last``, one port, or ``none``."""
    if text == "none":
        return range(0)
    first, _, last = text.partition("-")
    ports = range(port(first), port(last or first) + 1)
    if not ports:
        raise ValueError("the first port must not be greater than the last")
    return ports


def public_url(text: str) -> tuple[str, str, int]:
    """Reads scheme, host and port of a URL."""
    return parse_public_url(text)


def worker_count(text: str) -> int:
    """Reads a number of processes, or ``auto``: one for each core that may be used."""
    return usable_cores() if text == "auto" else whole_number(1, 64)(text)


PLAIN_HTTP = one_of("redirect", "serve")
LOG_FORMAT = one_of("combined", "json")


class Options(ConfiguredOptions):
    """The command line of ``twistd egrelay``."""

    synopsis = "[--domain NAME] [--port 443 --port 80 --tls-dir DIR] [--public-url https://NAME]"
    longdesc = (
        "The public end of egtunnel: gives the services of its clients public addresses below its domain. At its "
        "first start it makes a token, which lets clients in, and prints the line that connects one. The file of "
        "--config is TOML with the same names."
    )

    optParameters: ClassVar[list[list[Any]]] = [
        parameter("port", 7070, "TCP port for visitors and clients, with TLS or without", port, repeated=True),
        parameter("interface", None, "address to listen on (default: loopback for localhost, else all)", interface),
        parameter("tcp-interface", None, "address TCP tunnels listen on (default: as --interface)", interface),
        parameter("domain", "localhost", "domain below which public names are given", domain),
        parameter("public-url", None, "what visitors use when a TLS proxy stands in front: https://DOMAIN", public_url),
        parameter("tls-cert", None, "PEM file with the relay's certificate and its chain", folder),
        parameter("tls-key", None, "PEM file with the key of --tls-cert", folder),
        parameter("tls-dir", None, "folder with a certificate and key for each name", folder),
        parameter("client-ca", None, "PEM file of the authority whose certificates clients must show", folder),
        parameter("plain-http", "redirect", "with certificates, plain HTTP: redirect or serve", PLAIN_HTTP),
        parameter("trust", None, "network of a proxy in front whose word is believed", read_networks, repeated=True),
        parameter("access-log", None, "file for a line a request, - for standard output", file_or_output),
        parameter("access-log-format", "combined", "combined or json", LOG_FORMAT),
        parameter("error-pages", None, "folder with pages of your own for errors", folder),
        parameter("link-path", "/connect", "path at which clients connect, the same on both sides", link_path),
        parameter("tcp-ports", "20000-20099", "public ports for TCP tunnels, first-last or none", port_range),
        parameter("udp-ports", "20000-20099", "public ports for UDP tunnels, first-last or none", port_range),
        parameter(
            "udp-idle", 60.0, "seconds after which a silent visitor of a UDP tunnel is forgotten", number(1, 86_400)
        ),
        parameter("hold", 10.0, "seconds a visitor waits for a client that is away", number(0, 300)),
        parameter(
            "resume-window", 60.0, "seconds a session waits for its client's next link; 0: none", number(0, 3600)
        ),
        parameter("reserve", DAY, "seconds a name or port stays its owner's while away", number(0, 365 * DAY)),
        parameter("grace", 30.0, "seconds visitors may go on when the relay is stopped; 0: none", number(0, 86_400)),
        parameter("upgrade-grace", 0.0, "the same when another relay took over; 0: no limit", number(0, 30 * DAY)),
        parameter("state", None, "folder for the token and the owners of names", folder),
        parameter("token-file", None, "file with the token, instead of the one in the state folder", folder),
        parameter("config", None, "TOML file with the same names", folder),
        parameter("workers", 1, "processes that share the work, or auto: one for each core", worker_count),
        parameter("max-clients", 1000, "clients connected at once", whole_number(1, 100_000)),
        parameter("max-channels", 4096, "visitors' connections of one client at once", whole_number(1, 1_000_000)),
        parameter("max-visitors", 10_000, "visitors' connections at once", whole_number(1, 1_000_000)),
        parameter("max-per-address", 512, "visitors' connections of one address at once", whole_number(1, 1_000_000)),
        parameter("max-per-port", 1000, "connections to one TCP tunnel at once", whole_number(1, 1_000_000)),
        parameter("head-timeout", 10.0, "seconds a visitor has to send a whole request head", number(0.1, 600)),
        parameter("tls-timeout", 10.0, "seconds a TLS handshake may take", number(0.1, 600)),
        parameter("idle-timeout", 75.0, "seconds a visitor's connection is kept between requests", number(0.1, 3600)),
        parameter("body-timeout", 60.0, "seconds without a byte of a visitor's request body", number(0.1, 3600)),
        parameter(
            "min-body-rate", 240, "bytes a second at which a request body has to come; 0: any", number(0, 1_000_000)
        ),
        parameter("write-timeout", 60.0, "seconds a visitor may read nothing of an answer", number(0.1, 86_400)),
        parameter("response-timeout", 60.0, "seconds a service has to start its answer", number(0.1, 3600)),
        parameter("max-handshakes", 512, "unfinished TLS handshakes at once", whole_number(1, 100_000)),
        parameter("max-handshake-rate", 1000, "new TLS handshakes a second", whole_number(1, 1_000_000)),
        parameter("memory", 512, "MiB held in all for data on its way", whole_number(1, 1_000_000)),
        parameter("session-memory", 64, "MiB held for one client's data on its way", whole_number(1, 1_000_000)),
        *TOKEN_PARAMETERS,
        *LIMIT_PARAMETERS,
    ]

    optFlags: ClassVar[list[list[Any]]] = [
        ["interstitial", None, "show people with a browser a page before the first one of a tunnel"],
        ["no-api", None, "do not serve the REST API at /api/v1"],
        ["takeover", None, "take the place of the relay that runs with the same --state"],
    ]

    def postOptions(self) -> None:
        """Read everything once, so that what is wrong is said now."""
        super().postOptions()
        own_pidfile(self, "egrelay")
        if isinstance(self["tcp-ports"], str):
            self["tcp-ports"] = port_range(self["tcp-ports"])  # the default, written as a person would
        if isinstance(self["udp-ports"], str):
            self["udp-ports"] = port_range(self["udp-ports"])
        if self["public-url"] is not None and self["public-url"][1] != self["domain"]:
            raise UsageError(f"--public-url: its host must be that of --domain, {self['domain']}")
        if (self["tls-cert"] is None) != (self["tls-key"] is None):
            raise UsageError("--tls-cert and --tls-key: give both")
        self.settings = self._settings()
        if self["client-ca"] is not None and not self.settings.tls:
            raise UsageError("--client-ca: clients show certificates over TLS only: give --tls-cert or --tls-dir")

    def _settings(self) -> RelaySettings:
        tls = TLSFiles(self["tls-cert"], self["tls-key"], self["tls-dir"], self["client-ca"])
        ports = tuple(dict.fromkeys(self["port"]))
        scheme, _, public_port = self["public-url"] or ("https" if tls else "http", "", ports[0])
        listen = self["interface"] or (LOOPBACK if is_local(self["domain"]) else all_addresses())
        state = self["state"] or default_state()
        return RelaySettings(
            addresses=Addresses(self["domain"], scheme, public_port, self["link-path"]),
            state=state,
            ports=ports,
            interface=listen,
            tcp_interface=self["tcp-interface"] or listen,
            token_file=self["token-file"],
            tls=tls,
            redirect=self["plain-http"] == "redirect",
            trusted=Networks(tuple(network for networks in self["trust"] for network in networks)),
            access_log=LogSettings(self["access-log"], self["access-log-format"]),
            error_pages=self["error-pages"],
            takeover=bool(self["takeover"]),
            workers=self["workers"],
            store=store_of(self, state),
            resolver=self["resolver"],
            fetch_from=tuple(network for given in self["fetch-from"] for network in given),
            audit_log=self["audit-log"],
            api=not self["no-api"],
            login_check=self["login-check"] or "",
            interstitial=bool(self["interstitial"]),
            limits=self._limits(),
        )

    def _limits(self) -> RelayLimits:
        return RelayLimits(
            admission=AdmissionLimits(clients=self["max-clients"]),
            claims=ClaimLimits(
                ports=self["tcp-ports"], udp_ports=self["udp-ports"], forbidden=tuple(self["forbid-name"])
            ),
            front=FrontLimits(
                peek=self["head-timeout"], connections=self["max-visitors"], per_address=self["max-per-address"]
            ),
            http=HTTPLimits(
                head_wait=self["head-timeout"],
                keep_alive=self["idle-timeout"],
                answer=self["response-timeout"],
                body_wait=self["body-timeout"],
                body_rate=self["min-body-rate"],
                stall=self["write-timeout"],
            ),
            reservations=ReservationLimits(keep=self["reserve"]),
            udp=UDPLimits(flows=self["max-per-port"], in_all=self["max-visitors"], idle=self["udp-idle"]),
            tcp=TCPLimits(connections=self["max-per-port"], in_all=self["max-visitors"]),
            session=SessionLimits(mux=MuxLimits(channels=self["max-channels"]), resume=self["resume-window"]),
            tls=TLSLimits(
                handshake=self["tls-timeout"], handshakes=self["max-handshakes"], rate=self["max-handshake-rate"]
            ),
            tunnel=read_bounds(self),
            waiting=WaitingLimits(hold=self["hold"]),
            memory=self["memory"] * MIB,
            session_memory=self["session-memory"] * MIB,
            grace=self["grace"],
            upgrade_grace=self["upgrade-grace"],
        )


def makeService(options: Options, reactor: Any = None) -> IService:
    """The relay as a service; what cannot work ends the process with status 1 and one line."""
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - only a tap may
    install_monotonic(reactor)
    shorten(reactor)
    collect_seldom()
    raise_descriptor_limit()
    terminal = Terminal(reactor)

    def fail(error: EgtunnelError) -> None:
        terminal.fail(f"egrelay: {error.text}")
        if not terminal.foreground:
            raise error  # while it starts, twistd tells the process in the foreground, which ends with status 1

    root = MultiService()
    post = post_of()
    try:
        relay = _worker(reactor, options, post, terminal, fail) if post else _relay(reactor, options, terminal, fail)
    except ConfigurationError as error:
        fail(error)
    else:
        relay.setServiceParent(root)
        if post is None:
            Hangup(reactor, Reload(options, relay.change, terminal.say)).setServiceParent(root)
    return root


Fail = Callable[[EgtunnelError], None]


def _relay(reactor: Any, options: Options, terminal: Terminal, fail: Fail) -> Relay | Supervisor:
    """A relay that is one process, or the supervisor of one that is several."""
    more: dict[str, Any] = {
        "say": terminal.say,
        "on_fatal": fail,
        "on_left": terminal.stop,
        "inherited": Inherited(sockets_of_systemd()),
        "signals": Signals(reactor),
    }
    if options.settings.workers == 1:
        return Relay(reactor, options.settings, **more)
    arguments, folder = options.command_line
    launch = Launch(arguments, str(folder), lambda: terminal.foreground)
    return Supervisor(reactor, options.settings, launch, **more)


def _worker(reactor: Any, options: Options, post: Post, terminal: Terminal, fail: Fail) -> Worker:
    """One of several processes. What a terminal sends to all of them is the supervisor's to act upon."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    worker = Worker(reactor, options.settings, post, say=terminal.say, on_fatal=fail, stop=terminal.stop)

    def reload() -> None:
        try:
            worker.change(options.again().settings)
        except (UsageError, ConfigurationError) as error:
            terminal.say(f"worker {post.number}: reload: {getattr(error, 'text', None) or error}, nothing changed")

    worker.reload = reload
    return worker
