"""``python -m bench.versus``: two variants of egtunnel in one run, in turns, so that noise meets both alike.

They differ by the options that both daemons get, or by the checkout that they are run from. The figures are those of
the benchmark; ratios are taken against the first variant.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from bench.command import allow_many_descriptors
from bench.contenders.egtunnel import (
    CHECKOUT,
    EGTUNNELS,
    EGTUNNELS_HTTPS,
    EGTUNNELS_TLS,
    EGTUNNELS_WSS,
    Egtunnel,
)
from bench.errors import BenchError
from bench.figures import summarise
from bench.metrics import METRICS
from bench.ports import Ports
from bench.rounds import Plan, Record, play
from bench.table import render
from bench.upstream import large_folder, nginx
from bench.work import WORK
from bench.work.base import Scale

__all__ = ["main", "variants"]

KINDS = {
    kind.name.removeprefix("egtunnel-"): kind for kind in (*EGTUNNELS, *EGTUNNELS_TLS, *EGTUNNELS_WSS, *EGTUNNELS_HTTPS)
}


def variants(given: argparse.Namespace) -> list[Egtunnel]:
    """Both variants of each kind of tunnel, beside each other."""
    sides = (("a", given.a_options, given.a_checkout), ("b", given.b_options, given.b_checkout))
    return [
        attrs.evolve(KINDS[kind], name=f"{kind} {side}", more=tuple(shlex.split(more)), checkout=checkout.absolute())
        for kind in given.kinds.split(",")
        for side, more, checkout in sides
    ]


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.versus", description=__doc__.partition("\n")[0])
    for side in "ab":
        parser.add_argument(f"--{side}-options", default="", metavar="WORDS", help=f"options of the daemons of {side}")
        parser.add_argument(
            f"--{side}-checkout", type=Path, default=CHECKOUT, metavar="FOLDER", help="where they are run from"
        )
    parser.add_argument("--kinds", default="http,tcp", metavar="NAME,...", help=f"of {', '.join(KINDS)} (http,tcp)")
    names = [piece.name for piece in WORK]
    default = "requests-32,download,upload"
    parser.add_argument("--work", default=default, metavar="NAME,...", help=f"of {', '.join(names)} ({default})")
    for name, number, text in (
        ("rounds", 5, "how often everything is done"),
        ("seconds", 3, "length of each wrk run"),
        ("size", 1024, "MiB of the bulk transfers"),
    ):
        parser.add_argument(f"--{name}", type=int, default=number, metavar="N", help=f"{text} ({number})")
    given = parser.parse_args(arguments)
    for option, known in (("kinds", list(KINDS)), ("work", names)):
        if unknown := set(getattr(given, option).split(",")) - set(known):
            parser.error(f"--{option}: {', '.join(sorted(unknown))} is not one of {', '.join(known)}")
    return given


def main(arguments: Sequence[str]) -> int:
    """0: measured; 1: something failed and is missing; 2: could not."""
    given = _parsed(arguments)
    allow_many_descriptors()
    contenders, record = variants(given), Record()
    work = [piece for piece in WORK if piece.name in given.work.split(",")]
    plan = Plan(contenders, work, given.rounds, Scale(given.seconds, given.size))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="egtunnel-bench-") as name,
            large_folder(given.size) as large,
            nginx(Ports().take(), Path(name), large, given.size) as upstream,
        ):
            play(plan, upstream, Path(name), record, lambda line: print(line, file=sys.stderr, flush=True))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    summaries = summarise(record.samples)
    for one, other in zip(contenders[::2], contenders[1::2], strict=True):
        print(render(METRICS, [(side.name, side.name) for side in (one, other)], summaries, one.name))
    for failure in record.failures:
        print(f"failed: round {failure.round}, {failure.contender}, {failure.work}: {failure.reason}")
    return 1 if record.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
