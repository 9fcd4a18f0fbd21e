"""``egtunnel``: commands for a relay. The daemons themselves are ``twistd egrelay`` and ``twistd egclient``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from egtunnel import __version__
from egtunnel.command import names, tokens
from egtunnel.command.database import Misread
from egtunnel.errors import EgtunnelError

__all__ = ["DONE", "FAILED", "USAGE", "main"]

DONE, FAILED, USAGE = 0, 1, 2
"""Exit statuses."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: not done, for the reason that is said; 2: what was typed cannot be understood."""
    parser = argparse.ArgumentParser(
        prog="egtunnel",
        description="Commands for a relay; twistd egrelay starts one, twistd egclient a client.",
        epilog="Exit status: 0 done, 1 not done, 2 not understood.",
    )
    parser.add_argument("--version", action="version", version=f"egtunnel {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    tokens.add_to(commands)
    names.add_to(commands)
    given = parser.parse_args(arguments)
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
