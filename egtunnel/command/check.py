"""``egtunnel check``: would a client with these options work? Each step on a line, and nothing is published."""

from __future__ import annotations

import argparse
from typing import Any

from twisted.internet.defer import ensureDeferred

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
    from egtunnel.client.tap import Options, check  # noqa: PLC0415 - a command pays for what it uses

    words = [word for word in given.rest if word not in ("--json", "--check")]
    facts: list[dict[str, Any]] = []
    plain = "--json" not in given.rest

    def tell(what: str, good: bool, text: str) -> None:
        facts.append({"what": what, "good": good, "text": text})
        if plain:
            print(f"{'good' if good else 'BAD '}  {what}: {text}", flush=True)

    options = Options()
    run_once(options, words, lambda reactor: ensureDeferred(check(options, reactor, tell)))
    if not plain:
        print_json(facts)
    if not all(fact["good"] for fact in facts):
        raise Unfit("a client with these options would not work")
