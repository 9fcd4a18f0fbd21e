"""``egtunnel``: a relay, a client, and what is to be done around them, as one command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from egtunnel import __version__
from egtunnel.command import check, completion, daemons, live, names, shares, tokens
from egtunnel.command.database import Misread
from egtunnel.errors import EgtunnelError

__all__ = ["DONE", "FAILED", "USAGE", "main", "make_parser"]

DONE, FAILED, USAGE = 0, 1, 2
"""Exit statuses."""


def make_parser() -> argparse.ArgumentParser:
    """All commands."""
    parser = argparse.ArgumentParser(
        prog="egtunnel",
        description="A relay and a client that give a service behind NAT a public address.",
        epilog="Exit status: 0 done, 1 not done, 2 not understood.",
    )
    parser.add_argument("--version", action="version", version=f"egtunnel {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    daemons.add_to(commands)
    _add_share(commands)
    tokens.add_to(commands)
    names.add_to(commands)
    live.add_to(commands)
    check.add_to(commands)
    completion.add_to(commands)
    return parser


def _add_share(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    share = commands.add_parser(
        "share",
        help="publish a service and print a link to it; or create, list and revoke links",
        description=shares.__doc__,
        usage="egtunnel share TARGET [options]\n       egtunnel share {create,list,revoke} ...",
        epilog="Options of twistd egclient (--relay, --token-file, --name...) may follow.",
    )
    daemons.share(share)


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    """What was typed. ``share`` has commands of its own, or else a service as its first word."""
    words = list(arguments)
    if len(words) > 1 and words[0] == "share" and words[1] in shares.KINDS:
        parser = argparse.ArgumentParser(prog="egtunnel share", description=shares.__doc__)
        shares.add_to(parser.add_subparsers(title="commands", metavar="COMMAND", required=True))
        return parser.parse_args(words[1:])
    parser = make_parser()
    if words and words[0] == "share":
        given, rest = parser.parse_known_args(words)
        given.rest = rest
        return given
    if words and words[0] in (*daemons.NAMES, "check"):
        given = parser.parse_args(words[:1])
        given.rest = words[1:]
        return given
    return parser.parse_args(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: not done, for the reason that is said; 2: what was typed cannot be understood."""
    given = _read(sys.argv[1:] if arguments is None else arguments)
    try:
        given.run(given)
    except Misread as error:
        given.parser.error(str(error))
    except EgtunnelError as error:
        print(f"egtunnel: {error.text}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()  # the reader has what it wanted; Python would complain at its end
        return FAILED
    return DONE
