"""``python -m bench.workers``: two workers beside one process, where the processor of the relay is the bound.

Load and relay share the cores here, so each process of the relay gets a part of a core and no more (the processor's
bandwidth in a control group, version 1), small enough that wrk never is the bound. Every request is for the relay's
own page over HTTPS: nothing but the relay works. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.contenders.egtunnel import Egtunnel, Places, daemon
from bench.errors import BenchError, WorkFailed
from bench.ports import Ports
from bench.program import Program, wait_for_port
from bench.site import Site
from bench.usage import cpu_seconds
from bench.work.load import load

__all__ = ["main"]

GROUPS = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 10_000
SETTLE_SECONDS = 2.0
CONNECTIONS = 64
KINDS: dict[str, tuple[str, ...]] = {"kept connections": (), "a new connection each": ("Connection: close",)}


def main(arguments: Sequence[str]) -> int:
    """Measure in turns and print a line for each kind of work.

    :return: 0, or 2 when it could not be measured
    """
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often everything is done (5)")
    parser.add_argument("--seconds", type=int, default=3, metavar="N", help="length of each wrk run (3)")
    parser.add_argument("--share", type=int, default=40, metavar="PERCENT", help="of a core, for each process (40)")
    given = parser.parse_args(arguments)
    rates: dict[tuple[str, int], list[float]] = {}
    ports = Ports()
    try:
        for turn in range(given.rounds):
            for workers in (1, 2):
                for kind, rate, cost in _measured(ports, workers, given.share, given.seconds):
                    rates.setdefault((kind, workers), []).append(rate)
                    line = f"round {turn + 1}  {workers} of them, {kind}: {rate:,.0f}/s, {cost:.0f} us each"
                    print(line, file=sys.stderr, flush=True)
    except (BenchError, WorkFailed, OSError) as error:
        print(f"bench.workers: {error}", file=sys.stderr)
        return 2
    for kind in dict.fromkeys(kind for kind, _ in rates):
        one, two = (median(rates[kind, workers]) for workers in (1, 2))
        print(f"{kind}: {one:,.0f}/s with one process, {two:,.0f}/s with two workers, {two / one:.2f} times")
    return 0


def _measured(ports: Ports, workers: int, share: int, seconds: int) -> Iterator[tuple[str, float, float]]:
    """Kind of work, requests a second, and processor time of all processes in microseconds a request."""
    with tempfile.TemporaryDirectory(prefix="egtunnel-bench-") as name:
        folder = Path(name)
        places = Places(ports.take(), ports.take(), 9, folder)
        places.make_certificate()
        options = Egtunnel("relay", tcp=False, encrypts=True, https=True).relay_options(places)
        with daemon("egrelay", [*options, "--workers", str(workers)], folder) as relay:
            wait_for_port(places.port, relay)
            time.sleep(SETTLE_SECONDS)
            site = Site(places.port, f"localhost:{places.port}", speaks_http=True, authority=places.certificate)
            with _bounded(_serving(relay, workers), share):
                for kind, headers in KINDS.items():
                    before = cpu_seconds([relay.pid])
                    done = load(site, CONNECTIONS, seconds, *headers)
                    yield kind, done.rate, (cpu_seconds([relay.pid]) - before) * 1e6 / done.requests


def _serving(relay: Program, workers: int) -> list[int]:
    """The processes that serve visitors: the relay itself, or what it started."""
    if workers == 1:
        return [relay.pid]
    return [int(pid) for pid in Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()]


@contextlib.contextmanager
def _bounded(pids: Sequence[int], share: int) -> Iterator[None]:
    """Each process gets that many percent of a core."""
    groups = [GROUPS / f"egtunnel-bench-{pid}" for pid in pids]
    try:
        for pid, group in zip(pids, groups, strict=True):
            group.mkdir()
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(PERIOD_US * share // 100))
            (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for pid, group in zip(pids, groups, strict=True):
            with contextlib.suppress(OSError):
                (GROUPS / "cgroup.procs").write_text(str(pid))
            with contextlib.suppress(OSError):
                group.rmdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
