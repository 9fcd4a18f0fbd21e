"""The command line of the benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from attrs import evolve, frozen

from bench.contenders import CONTENDERS, ONLY_WHEN_ASKED
from bench.contenders.base import Contender
from bench.contenders.egtunnel import EGTUNNELS_TLS, Egtunnel
from bench.work import WORK
from bench.work.base import Scale, Work

__all__ = ["Options", "parse"]

QUICK = {"rounds": 1, "seconds": 1, "size": 64, "latency_samples": 500, "idle_connections": 200}
FULL = {"rounds": 3, "seconds": 5, "size": 1024, "latency_samples": 2000, "idle_connections": 1000}
RESULTS = Path(__file__).parent / "results"

T = TypeVar("T")


@frozen
class Options:
    """What was asked for.

    :ivar note: a sentence for the result, about what these figures are
    :ivar named: whether contenders were asked for by name, so that one that cannot run is an error
    """

    rounds: int
    scale: Scale
    contenders: tuple[Contender, ...]
    work: tuple[Work, ...]
    named: bool
    json: Path
    note: str = ""


def parse(arguments: Sequence[str], now: datetime | None = None) -> Options:
    """Read the arguments.

    :raises SystemExit: they are wrong (status 2, with a line that says what), or help was asked for
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    numbers = {**FULL, **(QUICK if given.quick else {})}
    numbers.update({name: value for name in FULL if (value := getattr(given, name)) is not None})
    scale = Scale(numbers["seconds"], numbers["size"], numbers["latency_samples"], numbers["idle_connections"])
    contenders = _packaged(_contenders(parser, given.only, given.tls), given.package)
    work = _chosen(parser, "--work", given.work, {piece.name: piece for piece in WORK})
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    path = (given.json or RESULTS / f"{stamp}.json").absolute()
    return Options(numbers["rounds"], scale, contenders, work, given.only is not None, path, given.note)


def _packaged(contenders: tuple[Contender, ...], package: Path | None) -> tuple[Contender, ...]:
    """The contenders, and behind each egtunnel the same with its daemons from that folder."""
    if package is None:
        return contenders
    found: list[Contender] = []
    for each in contenders:
        found.append(each)
        if isinstance(each, Egtunnel):
            found.append(evolve(each, name=f"{each.name}-{package.name}", checkout=package.absolute()))
    return tuple(found)


def _contenders(parser: argparse.ArgumentParser, only: str | None, tls: bool) -> tuple[Contender, ...]:
    chosen = _chosen(parser, "--only", only, {contender.name: contender for contender in CONTENDERS})
    if only is None and not tls:
        return tuple(contender for contender in chosen if contender.name not in ONLY_WHEN_ASKED)
    if only is None or not tls:
        return chosen
    named = {contender.name for contender in chosen}
    named |= {c.name for c in EGTUNNELS_TLS if c.against in named}
    return tuple(contender for contender in CONTENDERS if contender.name in named)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure egtunnel, ssh -R and other tunnels side by side on this machine.",
        epilog="contenders: "
        + ", ".join(c.name for c in CONTENDERS)
        + ".  work: "
        + ", ".join(w.name for w in WORK)
        + ".",
    )
    numbers = [
        ("rounds", "how often everything is done"),
        ("seconds", "length of each wrk run"),
        ("size", "MiB of the bulk transfers"),
        ("latency-samples", "requests of each latency run"),
        ("idle-connections", "visitors of the memory run"),
    ]
    for name, text in numbers:
        default = FULL[name.replace("-", "_")]
        parser.add_argument(f"--{name}", type=_positive, metavar="N", help=f"{text} ({default})")
    parser.add_argument("--only", metavar="NAME,...", help="these contenders")
    parser.add_argument("--tls", action="store_true", help="egtunnel over TLS, too, beside egtunnel without")
    parser.add_argument(
        "--package", type=Path, metavar="FOLDER", help="beside each egtunnel the same as built there: build/compiled"
    )
    parser.add_argument("--work", metavar="NAME,...", help="these pieces of work")
    parser.add_argument("--quick", action="store_true", help="one short round; other options still count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the result goes (bench/results/TIME.json)")
    parser.add_argument("--note", default="", metavar="TEXT", help="a sentence that is kept with the result")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def _chosen(parser: argparse.ArgumentParser, option: str, text: str | None, known: dict[str, T]) -> tuple[T, ...]:
    if text is None:
        return tuple(known.values())
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        parser.error(f"{option}: {', '.join(unknown) or 'nothing'} is not one of {', '.join(known)}")
    # In our own order, each once.
    return tuple(value for name, value in known.items() if name in names)
