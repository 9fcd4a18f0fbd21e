"""``egtunnel relay``, ``http``, ``tcp``, ``udp``, ``visit``, ``share``: daemons in the foreground, with plain lines."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from egtunnel.command.foreground import run
from egtunnel.command.screen import JsonLines, Screen
from egtunnel.command.shares import add_terms, terms_of

__all__ = ["NAMES", "add_to", "share"]

NAMES = ("relay", "http", "tcp", "udp", "visit")


def add_to(commands: Any) -> None:
    """The commands; what follows is read by the options of the daemons themselves."""
    for name, begin, text in (
        ("relay", _relay, "run a relay in the foreground; takes the options of twistd egrelay"),
        ("http", _http, "give a web service a public URL; takes the options of twistd egclient"),
        ("tcp", _tcp, "give a TCP service a public port; takes the options of twistd egclient"),
        ("udp", _udp, "give a UDP service a public port; takes the options of twistd egclient"),
        ("visit", _visit, "NAME ADDRESS: open a private tunnel here; takes the options of twistd egclient"),
    ):
        parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", add_help=False)
        parser.set_defaults(run=begin, parser=parser)


def share(parser: argparse.ArgumentParser) -> None:
    """``egtunnel share TARGET``: its own options, and those of a client after them."""
    parser.add_argument(
        "target", metavar="TARGET", help="the service to share: 8080, host:8080, http://..., unix:/path"
    )
    add_terms(parser)
    parser.add_argument("--json", action="store_true", help="print what was made as JSON, in one line")
    parser.set_defaults(run=_share, parser=parser)


def _relay(given: argparse.Namespace) -> None:
    from egtunnel.relay.tap import Options, makeService  # noqa: PLC0415 - a command pays for what it uses

    run(Options(), makeService, given.rest)


def _http(given: argparse.Namespace) -> None:
    from egtunnel.client.tap import Options, makeService  # noqa: PLC0415

    options = Options()
    words = _shown(options, given.rest)
    run(options, makeService, _local(words))


def _tcp(given: argparse.Namespace) -> None:
    _port(given, "--tcp")


def _udp(given: argparse.Namespace) -> None:
    _port(given, "--udp")


def _port(given: argparse.Namespace, option: str) -> None:
    """A port of the relay's choice, unless one is named."""
    from egtunnel.client.tap import Options, makeService  # noqa: PLC0415

    options = Options()
    words = _local(_shown(options, given.rest))
    named = any(word == option or word.startswith(f"{option}=") for word in words)
    run(options, makeService, words if named else [*words, option, "0"])


def _visit(given: argparse.Namespace) -> None:
    """``db 5432 --relay ...`` as a client reads it."""
    from egtunnel.client.tap import Options, makeService  # noqa: PLC0415

    options = Options()
    words = _shown(options, given.rest)
    if len(words) > 1 and not words[0].startswith("-") and not words[1].startswith("-"):
        words = ["--visit", words[0], "--listen", words[1], *words[2:]]
    run(options, makeService, words)


def _share(given: argparse.Namespace) -> None:
    from egtunnel.client.sharing import Linking  # noqa: PLC0415
    from egtunnel.client.tap import Options, makeService  # noqa: PLC0415
    from egtunnel.session.messages import Shared  # noqa: PLC0415

    def on_link(shared: Shared) -> None:
        until = "" if not shared.expires else datetime.fromtimestamp(shared.expires, UTC).isoformat(timespec="seconds")
        if given.json:
            line = json.dumps({"id": shared.id, "link": shared.link, "expires": until or None})
            print(line, file=sys.__stdout__, flush=True)
            return
        print(f"share {shared.id}, {f'until {until}' if until else 'without end'}:", file=sys.__stdout__)
        print(shared.link, file=sys.__stdout__, flush=True)

    options = Options()
    options.linking = Linking(terms_of(given), on_link)
    run(options, makeService, ["--local", given.target, "--private", *given.rest])


def _shown(options: Any, words: Sequence[str]) -> list[str]:
    """How the client speaks: JSON lines with ``--json``, else a live screen on a terminal, unless ``--plain``."""
    stream: Any = sys.__stdout__
    rest = [word for word in words if word not in ("--json", "--plain")]
    if "--json" in words:
        options.screen = JsonLines(stream)
    elif "--plain" not in words and stream is not None and stream.isatty() and "--help" not in words:
        options.screen = Screen(stream, time.monotonic)
    return rest


def _local(words: Sequence[str]) -> list[str]:
    """``8080 --name demo`` as a client reads it."""
    if words and not words[0].startswith("-"):
        return ["--local", *words]
    return list(words)
