"""``egtunnel check``: would a client with these options work? Each step on a line, and nothing is published."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory, Protocol

from egtunnel.command.database import print_json
from egtunnel.command.foreground import run_once
from egtunnel.errors import EgtunnelError

__all__ = ["Unfit", "add_to"]


class Unfit(EgtunnelError):
    """Something would not work."""

    word = "unfit"


def add_to(commands: Any) -> None:
    """The command; what follows is read by the options of a client."""
    text = "see whether a client with these options would work; takes the options of twistd egclient"
    parser = commands.add_parser("check", help=text, description=text[0].upper() + text[1:] + ".", add_help=False)
    parser.set_defaults(run=_check, parser=parser)


def _check(given: argparse.Namespace) -> None:
    from egtunnel.client.tap import Options  # noqa: PLC0415 - a command pays for what it uses

    words = [word for word in given.rest if word != "--json"]
    facts: list[dict[str, Any]] = []
    plain = len(words) == len(given.rest)

    def tell(what: str, good: bool, text: str) -> None:
        facts.append({"what": what, "good": good, "text": text})
        if plain:
            print(f"{'good' if good else 'BAD '}  {what}: {text}", flush=True)

    options = Options()
    run_once(options, words, lambda reactor: ensureDeferred(_steps(options, reactor, tell)))
    if not plain:
        print_json(facts)
    if not all(fact["good"] for fact in facts):
        raise Unfit("a client with these options would not work")


Tell = Callable[[str, bool, str], None]


async def _steps(options: Any, reactor: Any, tell: Tell) -> None:
    """The services first, then each relay."""
    from egtunnel.client.upstream import UpstreamLimits  # noqa: PLC0415

    for offer in options.offers:
        what = f"service {offer.target.text}"
        try:
            dialer = offer.dialer(reactor, UpstreamLimits())
            await _opened(dialer)
            tell(what, True, "answers")
        except EgtunnelError as error:
            tell(what, False, error.text)
    for relay, token in zip(options.relays, options.tokens, strict=True):
        what = f"relay {relay.url}"
        try:
            tell(what, True, await _greeted(options, reactor, relay, token))
        except Exception as error:  # noqa: BLE001 - whatever a connection fails with is what is asked for
            tell(what, False, getattr(error, "text", None) or str(error) or type(error).__name__)


async def _opened(dialer: Any) -> None:
    from egtunnel.interfaces import Visitor  # noqa: PLC0415

    protocol = await dialer(Visitor("check", "127.0.0.1", 0)).connect(Factory.forProtocol(Protocol))
    protocol.transport.abortConnection()


async def _greeted(options: Any, reactor: Any, relay: Any, token: Any) -> str:
    """Log in under an identity that nobody has, and go at once."""
    from egtunnel import __version__  # noqa: PLC0415
    from egtunnel.client.connection import open_link, road  # noqa: PLC0415
    from egtunnel.client.greeting import GreetingLimits, greet  # noqa: PLC0415
    from egtunnel.client.upstream import UpstreamLimits  # noqa: PLC0415
    from egtunnel.session.messages import Hello  # noqa: PLC0415
    from egtunnel.session.websocket import LinkLimits  # noqa: PLC0415

    if not (relay.secure or relay.loopback or options["insecure"]):
        raise Unfit(f"the token would travel unencrypted to {relay.host}: use a wss:// or https:// URL, or --insecure")
    way = road(reactor, relay, options.relay_tls, UpstreamLimits())
    link = await open_link(way, reactor, LinkLimits())
    hello = Hello(token=token(), client_id=os.urandom(16).hex(), agent=f"egtunnel/{__version__} check")
    answered: Deferred[Any] = greet(link, hello, reactor, GreetingLimits())
    welcome, _ = await answered
    link.abort()
    return f"lets us in; names are below {welcome.domain}"
