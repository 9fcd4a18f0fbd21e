"""``python -m bench.profile``: where the processor time of relay and client goes; writes docs/profile.md.

py-spy samples both daemons during each piece of work. A layer's share of the samples, times the processor time that the
kernel counted for the same piece of work, is what the layer cost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from bench.command import allow_many_descriptors
from bench.contenders import CONTENDERS
from bench.contenders.base import Ground, Running
from bench.contenders.egtunnel import EGTUNNELS_TLS
from bench.errors import BenchError
from bench.layers import add_up, parse_stacks
from bench.machine import commit, describe_machine
from bench.ports import Ports
from bench.profile_page import page
from bench.program import Program, find_program
from bench.program import running as started
from bench.result import write
from bench.upstream import MIB, Upstream, large_folder, nginx
from bench.usage import cpu_seconds
from bench.work.base import Scale
from bench.work.bulk import Download, Upload
from bench.work.load import load
from bench.work.visitor import wait_until_served

__all__ = ["Cost", "Task", "main"]

CHECKOUT = Path(__file__).resolve().parents[1]
SAMPLES_A_SECOND = 250
KEPT = "profile.json"


@frozen
class Task:
    """A piece of work that is profiled.

    :ivar unit: of what the cost is told
    """

    name: str
    unit: str
    connections: int = 0
    close: bool = False

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> float:
        """Do it once; return how many units that were.

        :raises BenchError: it failed
        """
        if self.connections:
            headers = ("Connection: close",) if self.close else ()
            return load(running.site, self.connections, scale.seconds, *headers).requests
        (Download() if self.name == "download" else Upload()).run(running, upstream, scale)
        return upstream.bulk_file.stat().st_size / MIB


TASKS = (
    *(Task(f"requests-{count}", "request", count) for count in (1, 32, 256)),
    Task("connections", "connection", 32, close=True),
    Task("download", "MiB"),
    Task("upload", "MiB"),
)


@frozen
class Cost:
    """What one daemon spent in one task.

    :ivar microseconds: processor time for each unit, as the kernel counted it
    :ivar seconds: that processor time in all; times the rate it is how many samples it accounts for
    :ivar rate: samples a second
    :ivar layers: samples by layer
    :ivar functions: samples by innermost function, the dearest only
    """

    contender: str
    task: str
    unit: str
    daemon: str
    microseconds: float
    seconds: float
    rate: int
    layers: Mapping[str, int]
    functions: Mapping[str, int]


@contextlib.contextmanager
def _spied(program: Program, folder: Path, name: str) -> Iterator[Path]:
    """Sample a program while the block runs; the file is whole once the block is left."""
    file = folder / f"{name}.raw"
    options = ["--pid", str(program.pid), "--rate", str(SAMPLES_A_SECOND), "--format", "raw", "--output", str(file)]
    command = [find_program("py-spy"), "record", *options, "--full-filenames", "--duration", "600"]
    with started(f"spy-{name}", command, folder) as spy:
        spy.wait_for_line("Sampling process")
        yield file
        spy.interrupt()


def _profile(task: Task, name: str, running: Running, upstream: Upstream, scale: Scale, folder: Path) -> list[Cost]:
    sides = {"relay": running.relay[0], "client": running.client[0]}
    before = {side: cpu_seconds([program.pid]) for side, program in sides.items()}
    files: dict[str, Path] = {}
    with contextlib.ExitStack() as stack:
        for side, program in sides.items():
            files[side] = stack.enter_context(_spied(program, folder, f"{task.name}-{side}"))
        count = task.run(running, upstream, scale)
        spent = {side: cpu_seconds([program.pid]) - before[side] for side, program in sides.items()}
    costs = []
    for side, file in files.items():
        layers, functions = add_up(parse_stacks(file.read_text()))
        dearest = dict(sorted(functions.items(), key=lambda item: -item[1])[:12])
        micros = spent[side] * 1e6 / count
        costs.append(Cost(name, task.name, task.unit, side, micros, spent[side], SAMPLES_A_SECOND, layers, dearest))
    return costs


def _measure(only: Sequence[str], scale: Scale) -> list[Cost]:
    costs: list[Cost] = []
    with (
        tempfile.TemporaryDirectory(prefix="egtunnel-bench-") as name,
        large_folder(scale.size_mib) as large,
        nginx(Ports().take(), Path(name), large, scale.size_mib) as upstream,
    ):
        for contender in (each for each in CONTENDERS if each.name in only):
            folder = Path(name) / contender.name
            folder.mkdir()
            with contender.run(Ground(upstream.port, folder, Ports())) as running:
                wait_until_served(running)
                for task in TASKS:
                    try:
                        costs += _profile(task, contender.name, running, upstream, scale, folder)
                    except BenchError as error:
                        print(f"bench.profile: {contender.name}, {task.name}: {error}", file=sys.stderr)
                    else:
                        print(f"bench.profile: {contender.name}, {task.name}", file=sys.stderr, flush=True)
    return costs


def main(arguments: Sequence[str], docs: Path = CHECKOUT / "docs") -> int:
    """Profile and write the page, or write it again from a JSON.

    :return: 0, or 2 when it could not be done
    """
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Profile both daemons.")
    parser.add_argument("--seconds", type=int, default=5, help="length of each run of wrk (5)")
    parser.add_argument("--size", type=int, default=512, help="MiB of the bulk transfers (512)")
    names = ",".join(contender.name for contender in EGTUNNELS_TLS)
    parser.add_argument("--only", default=names, help=f"these contenders ({names})")
    parser.add_argument("--from", dest="source", type=Path, help="measure nothing, take this JSON")
    given = parser.parse_args(arguments)
    result: dict[str, Any]
    if given.source is not None:
        result = json.loads(given.source.read_text())
    else:
        about: dict[str, Any] = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit()}
        about |= {"machine": describe_machine()}
        allow_many_descriptors()
        try:
            costs = _measure(given.only.split(","), Scale(given.seconds, given.size))
        except BenchError as error:
            print(f"bench.profile: {error}", file=sys.stderr)
            return 2
        result = {**about, "costs": [asdict(cost) for cost in costs]}
    (docs / "benchmarks").mkdir(exist_ok=True)
    write(docs / "benchmarks" / KEPT, result)
    (docs / "profile.md").write_text(page(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
