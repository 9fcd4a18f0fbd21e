"""``twistd egclient``: options in, a running client out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from twisted.application.service import IService, MultiService
from twisted.internet.defer import ensureDeferred
from twisted.python.usage import UsageError

from egtunnel.client.checking import RelayCheck, Tell, check_services
from egtunnel.client.link_headers import LinkHeaders, read_link_headers
from egtunnel.client.link_tls import LinkKind, RelayTls, link_kind
from egtunnel.client.offering import Difference
from egtunnel.client.offers import Offer
from egtunnel.client.proxies import Proxy, proxy_for
from egtunnel.client.relay_address import DEFAULT_RELAY, RelayAddress, parse_relay
from egtunnel.client.reload import Reload
from egtunnel.client.service import Client, ClientLimits
from egtunnel.client.sharing import Linking
from egtunnel.client.token import TokenSource, token_from_file, token_from_text
from egtunnel.client.tunnel_tables import TUNNEL_FLAGS, TUNNEL_PARAMETERS, read_offer
from egtunnel.client.visiting import parse_listen, visit_target
from egtunnel.clock import install_monotonic
from egtunnel.command.foreground import log_little, until_done
from egtunnel.configuration import (
    ConfiguredOptions,
    default_state,
    folder,
    interface,
    number,
    parameter,
    state_home,
    whole_number,
)
from egtunnel.descriptors import raise_descriptor_limit
from egtunnel.eager_loop import shorten
from egtunnel.errors import ConfigurationError, EgtunnelError, Superseded
from egtunnel.garbage import collect_seldom
from egtunnel.hangup import Hangup
from egtunnel.mux.limits import MuxLimits
from egtunnel.session.session import SessionLimits
from egtunnel.terminal import Terminal, own_pidfile

__all__ = ["Options", "check", "makeService"]

TUNNEL_OPTIONS = tuple(row[0] for row in TUNNEL_PARAMETERS)
TUNNEL_SWITCHES = tuple(row[0] for row in TUNNEL_FLAGS)


class Options(ConfiguredOptions):
    """The command line of ``twistd egclient``."""

    synopsis = (
        "[--relay URL]... --local TARGET [--name NAME | --host CUSTOM.HOST | --tls NAME | --tcp PORT | --udp PORT]"
    )
    longdesc = (
        "Gives local services a public address through an egtunnel relay. TARGET is 8080, host:8080, "
        "http://host:port, https://host:port, h2c://host:port, unix:/path, file:/folder or a Twisted client endpoint. "
        "A token on the command line can be seen by other users of this machine: --token-file or EGTUNNEL_TOKEN is "
        "better. A client on the relay's own account needs none. The file of --config is TOML with the same "
        "names, and a [[tunnel]] table for each tunnel."
    )
    environment: ClassVar[dict[str, str]] = {"relay": "EGTUNNEL_RELAY", "token": "EGTUNNEL_TOKEN"}
    tables: ClassVar[frozenset[str]] = frozenset({"tunnel"})

    optParameters: ClassVar[list[list[Any]]] = [
        parameter("relay", DEFAULT_RELAY, "the relay's URL: ws, wss, http or https (or EGTUNNEL_RELAY)", repeated=True),
        parameter("token", None, "the token that the relay asks for (or EGTUNNEL_TOKEN)"),
        parameter("token-file", None, "a file that holds the token, or one for each relay", folder, repeated=True),
        *TUNNEL_PARAMETERS,
        parameter("visit", None, "open the private tunnel of this name at --listen", repeated=True),
        parameter("listen", None, "where --visit listens here: 127.0.0.1:5432, 5432, unix:/path", repeated=True),
        parameter("link-path", "", "path of the relay's WebSocket, where its URL has none (default /connect)"),
        parameter("link-header", None, "'Name: value' for the request of a WebSocket link", repeated=True),
        parameter("link-host", None, "Host of that request, where it is not the relay's"),
        parameter("proxy", None, "on the way to the relay: http://, https:// or socks5://host:port, none for none"),
        parameter("link", "auto", "over TLS: tls (no WebSocket), websocket, or auto", link_kind),
        parameter("links", 1, "links to the relay at once", whole_number(1, 8)),
        parameter("link-source", None, "address of this machine from which links come", interface, repeated=True),
        parameter("ca", None, "PEM file of the authority to believe for the relay, not the system's", folder),
        parameter("cert", None, "PEM file with the certificate to show the relay, and its chain", folder),
        parameter("key", None, "PEM file with its private key, if that is not in the file of --cert", folder),
        parameter(
            "resume-window", 60.0, "seconds visitors wait for the next link to the relay; 0: none", number(0, 3600)
        ),
        parameter("drain", 10.0, "seconds to serve on at a stop, where names are shared; 0: none", number(0, 3600)),
        parameter(
            "max-channels", 4096, "visitors' connections at once, if the relay lets so many", whole_number(1, 1_000_000)
        ),
        parameter("state", None, "folder for what must survive a restart", folder),
        parameter("config", None, "TOML file with the same names", folder),
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        ["check", None, "say, step by step, whether all of this would work, and end"],
        ["insecure", None, "send the token unencrypted to another machine"],
        *TUNNEL_FLAGS,
    ]

    linking: Linking | None = None
    """A link that is wanted, too; ``egtunnel share`` sets it."""
    screen: Any = None
    """Takes what the clients say, in the terminal's place (``command.screen.IScreen``); None: the terminal."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """``--tls-terminate CERT KEY`` is the only option with two values: read as the same option twice."""
        words = list(sys.argv[1:] if options is None else options)
        for at in reversed([at for at, word in enumerate(words) if word == "--tls-terminate"]):
            if at + 2 < len(words) and not words[at + 2].startswith("-"):
                words.insert(at + 2, "--tls-terminate")
        super().parseOptions(words)

    def postOptions(self) -> None:
        """Read everything once, so that what is wrong is said now."""
        on_command_line = frozenset(self.given)
        super().postOptions()
        own_pidfile(self, "egclient")
        try:
            self.relays: list[RelayAddress] = [parse_relay(url, self["link-path"]) for url in self["relay"]]
            self.offers: list[Offer] = self._offers(on_command_line)
            self.tokens: list[TokenSource] = [
                self._token(number, on_command_line) for number in range(len(self.relays))
            ]
            self.proxies: list[Proxy | None] = [
                proxy_for(relay, self["proxy"] or "", os.environ) for relay in self.relays
            ]
            self.link_headers: LinkHeaders = read_link_headers(self["link-header"], self["link-host"] or "")
            self.relay_tls: RelayTls = self._relay_tls()
        except ConfigurationError as error:
            raise UsageError(error.text) from None
        if self["check"]:
            _check_and_end(self)

    def _offers(self, on_command_line: frozenset[str]) -> list[Offer]:
        """The tunnel that the options describe, and those of the file; a ``--local`` typed by hand stands alone."""
        tables = self.file.get("tunnel", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise ConfigurationError("tunnel: write each as a [[tunnel]] table")
        offers: list[Offer] = []
        if self["local"] is not None:
            offers.append(read_offer({key: self[key] for key in (*TUNNEL_OPTIONS, *TUNNEL_SWITCHES)}, ""))
        elif stray := [key for key in TUNNEL_OPTIONS if key in on_command_line]:
            raise ConfigurationError(f"--{stray[0]} needs --local TARGET beside it")
        if "local" not in on_command_line:
            offers += [read_offer(table, f"tunnel {number}: ") for number, table in enumerate(tables, 1)]
        offers += self._visits()
        if not offers:
            raise ConfigurationError("which service? Give --local TARGET, for example --local 8080, or --config FILE")
        return offers

    def _visits(self) -> list[Offer]:
        """One for each pair of ``--visit`` and ``--listen``."""
        names, places = self["visit"], [parse_listen(text) for text in self["listen"]]
        if len(names) != len(places):
            raise ConfigurationError("--visit NAME and --listen ADDRESS:PORT go together: give one for each other")
        return [
            Offer(visit_target(name, place), kind="visit", name=name, listen=place)
            for name, place in zip(names, places, strict=True)
        ]

    def _relay_tls(self) -> RelayTls:
        """The files of the link's TLS, read once to see that they are good."""
        files = {name: str(self[name] or "") for name in ("ca", "cert", "key")}
        given = [name for name, file in files.items() if file]
        secure = [relay for relay in self.relays if relay.secure]
        if given and not secure:
            raise ConfigurationError(
                f"--{given[0]} is for a relay over TLS: {self.relays[0].url} has to be a wss:// URL"
            )
        kind = LinkKind(self["link"])
        if kind is LinkKind.TLS and len(secure) < len(self.relays):
            plain = next(relay for relay in self.relays if not relay.secure)
            raise ConfigurationError(f"--link tls is for relays over TLS: {plain.url} has to be a wss:// URL")
        tls = RelayTls(files["ca"], files["cert"], files["key"], link=kind)
        if given:
            tls.creator(secure[0].host)
        return tls

    def _token(self, turn: int, on_command_line: frozenset[str]) -> TokenSource:
        """The token for one of the relays."""
        files, text, relay = self["token-file"], self["token"], self.relays[turn]
        if {"token", "token-file"} <= on_command_line:
            raise ConfigurationError("--token and --token-file: give one of them")
        if files and (text is None or "token-file" in on_command_line):
            if len(files) not in (1, len(self.relays)):
                raise ConfigurationError("--token-file: give one for all relays, or one for each")
            source = token_from_file(files[turn % len(files)])
            source.check()
            return source
        if text is not None:
            return token_from_text(text)
        if relay.loopback:
            return token_from_file(default_state() / "token", awaited=True)
        raise ConfigurationError(f"{relay.host} wants a token: give --token-file FILE or set EGTUNNEL_TOKEN")


def makeService(options: Options, reactor: Any = None) -> IService:
    """The client as a service; what cannot work ends the process with status 1 and one line."""
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - only a tap may
    install_monotonic(reactor)
    shorten(reactor)
    collect_seldom()
    raise_descriptor_limit()
    terminal = Terminal(reactor)
    say = terminal.say if options.screen is None else options.screen.say
    root = MultiService()
    hopes = set(range(len(options.relays)))

    def fail(turn: int, error: EgtunnelError) -> None:
        hopes.discard(turn)
        if hopes:
            say(f"{options.relays[turn].url}: {_last_words(error)}; going on with the other relays")
        else:
            terminal.fail(f"egclient: {_last_words(error)}")

    clients: list[Client] = []
    for turn in range(len(options.relays)):
        try:
            client = _client(options, turn, reactor, say, partial(fail, turn))
        except ConfigurationError as error:
            terminal.fail(f"egclient: {_last_words(error)}")
        else:
            client.setServiceParent(root)
            clients.append(client)
    if len(clients) == len(options.relays):
        Hangup(reactor, Reload(options, partial(_change, clients), say)).setServiceParent(root)
    return root


async def check(options: Options, reactor: Any, tell: Tell) -> None:
    """Whether a client with these options would work: its services first, then the way to each relay."""
    await check_services(options.offers, reactor, tell)
    for turn, relay in enumerate(options.relays):
        checked = RelayCheck(
            reactor,
            relay,
            options.relay_tls,
            options.tokens[turn],
            options.proxies[turn],
            options.link_headers,
            bool(options["insecure"]),
        )
        await checked.run(tell)


def _check_and_end(options: Options) -> None:
    """``--check``: the process ends here, before twistd goes to the background."""
    from twisted.internet import reactor  # noqa: PLC0415 - only a tap may

    bad: list[str] = []

    def tell(what: str, good: bool, text: str) -> None:
        print(f"{'good' if good else 'BAD '}  {what}: {text}", flush=True)
        if not good:
            bad.append(what)

    log_little()
    until_done(reactor, lambda running: ensureDeferred(check(options, running, tell)))
    sys.exit(1 if bad else 0)


def _client(
    options: Options, turn: int, reactor: Any, say: Callable[[str], None], fail: Callable[[EgtunnelError], None]
) -> Client:
    """The client of one relay."""
    client = Client(
        reactor,
        options.relays[turn],
        options.tokens[turn],
        options.offers,
        state=options["state"] or state_home(),
        relay_tls=options.relay_tls,
        insecure=bool(options["insecure"]),
        links=options["links"],
        sources=options["link-source"],
        proxy=options.proxies[turn],
        headers=options.link_headers,
        say=say,
        on_claimed=lambda offer, url: (
            None if options.screen is None else options.screen.claimed(offer.target.text, url)
        ),
        on_fatal=fail,
        limits=ClientLimits(
            session=SessionLimits(mux=MuxLimits(channels=options["max-channels"]), resume=options["resume-window"]),
            drain=options["drain"],
        ),
    )
    client.setName(f"egclient {turn + 1}")
    client.enrolment.linking = options.linking
    if options.screen is not None:
        client.visitors.watch = options.screen.watch
    return client


def _change(clients: Sequence[Client], offers: Sequence[Offer]) -> Difference:
    """Other services for all relays; what has changed is the same everywhere."""
    first, *_ = [client.change(offers) for client in clients]
    return first


def _last_words(error: EgtunnelError) -> str:
    if isinstance(error, Superseded):
        return "another client with the same identity took over; give each its own --state folder"
    return error.text
