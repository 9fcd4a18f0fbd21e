"""The whole run as one command: start the upstream, play the rounds, print and write what came of it."""

from __future__ import annotations

import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from attrs import asdict

from bench.contenders import BAR
from bench.contenders.base import Contender
from bench.contenders.peers import PEERS
from bench.errors import BenchError, MissingProgram
from bench.machine import commit, describe_machine, versions
from bench.options import Options, parse
from bench.ports import Ports
from bench.program import find_program
from bench.result import as_json, as_text, write
from bench.rounds import Plan, Record, play
from bench.upstream import large_folder, nginx

__all__ = ["able", "allow_many_descriptors", "main"]

DESCRIPTORS = 16_384
NEEDED = ("nginx", "wrk", "curl")
PEER_NAMES = frozenset({BAR, *(peer.name for peer in PEERS)})
INSTALL = "apt-get install wrk nginx-light curl openssh-server"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark.

    :return: 0 when it ran, 1 when it ran and egtunnel or the direct way failed at something (a peer's failure is only
        told), 2 when it could not begin, 130 on Ctrl-C
    """
    options = parse(arguments)
    contenders, skipped = able(options.contenders)
    try:
        _check(options, skipped)
    except MissingProgram as error:
        _tell(f"bench: {error}; what this needs: {INSTALL}")
        return 2
    record = Record()
    about = {"started": _now(), "commit": commit(), "machine": describe_machine(), "versions": versions(contenders)}
    about["note"] = options.note
    about["options"] = {"rounds": options.rounds, **asdict(options.scale)}

    def put_by() -> None:
        write(options.json, as_json(record, contenders, skipped, {**about, "finished": _now()}))

    status = _run_to_the_end(options, contenders, record, put_by)
    if record.samples or record.failures:
        put_by()
        print("\n" + as_text(record, contenders, skipped), flush=True)
        _tell(f"bench: every sample is in {options.json}")
    return status


def able(contenders: Sequence[Contender]) -> tuple[list[Contender], dict[str, str]]:
    """Those whose programs are all there, and for each of the others what it lacks."""
    found: list[Contender] = []
    skipped: dict[str, str] = {}
    for contender in contenders:
        try:
            for program in contender.programs:
                find_program(program)
        except MissingProgram as error:
            skipped[contender.name] = str(error)
        else:
            found.append(contender)
    return found, skipped


def _check(options: Options, skipped: Mapping[str, str]) -> None:
    for program in NEEDED:
        find_program(program)
    if options.named and skipped:
        raise MissingProgram("; ".join(f"{name}: {reason}" for name, reason in skipped.items()))


def _run_to_the_end(
    options: Options, contenders: Sequence[Contender], record: Record, put_by: Callable[[], None]
) -> int:
    try:
        with _interruptible():
            _run(options, contenders, record, put_by)
    except BenchError as error:
        _tell(f"bench: {error}")
        return 2
    except KeyboardInterrupt:
        _tell("bench: broken off; everything that was started has been ended")
        return 130
    return 1 if any(failure.contender not in PEER_NAMES for failure in record.failures) else 0


def _run(options: Options, contenders: Sequence[Contender], record: Record, put_by: Callable[[], None]) -> None:
    allow_many_descriptors()
    with (
        tempfile.TemporaryDirectory(prefix="egtunnel-bench-") as name,
        large_folder(options.scale.size_mib) as large,
        nginx(Ports().take(), Path(name), large, options.scale.size_mib) as upstream,
    ):
        plan = Plan(contenders, options.work, options.rounds, options.scale)
        play(plan, upstream, Path(name), record, _tell, put_by)


def allow_many_descriptors() -> None:
    """Let this process, and all that it starts, have enough of them."""
    # Every program started here inherits this, and each holds a thousand visitors twice.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _interruptible() -> Iterator[None]:
    """A plain kill ends everything as Ctrl-C does, and a second Ctrl-C does not cut the ending short."""
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(each, interrupt) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
