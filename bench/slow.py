"""``python -m bench.slow``: what a thousand slow visitors at once cost the others.

slowhttptest plays them: slow heads, slow bodies, slow reading. Each is measured beside the same tunnel in peace, in
turns, so that a noisy machine is noisy for both.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

from bench.command import allow_many_descriptors
from bench.contenders.base import Ground, Running
from bench.contenders.egtunnel import EGTUNNELS
from bench.errors import BenchError, WorkFailed
from bench.figures import percentile
from bench.ports import Ports
from bench.program import find_program, running
from bench.site import Site
from bench.upstream import large_folder, nginx
from bench.usage import resident_kib
from bench.work.visitor import Visitor, wait_until_served

__all__ = ["MODES", "main"]

MODES = {
    "slow heads": ("/", ("-H", "-i", "5", "-x", "24")),
    "slow bodies": ("/upload/slow", ("-B", "-t", "PUT", "-i", "5", "-s", "8192", "-x", "10")),
    "slow reading": ("/bulk", ("-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32")),
}
"""The path that is asked for, and options of slowhttptest."""
CONNECT_RATE = 500
CONNECT_SECONDS = 30.0
ELSEWHERE = "127.0.0.2"
"""Where the other visitor comes from: what one address may have at once is not all there is."""
PAUSE = 0.005
"""Seconds between two requests of the other visitor."""


@frozen
class Others:
    """What another visitor saw: milliseconds of each request, on a kept connection and on new ones."""

    kept: list[float] = field(factory=list)
    fresh: list[float] = field(factory=list)

    def ask(self, site: Site, count: int) -> None:
        """Ask ``count`` times, every tenth time on a connection of its own.

        :raises WorkFailed: one of them is not answered
        """
        with Visitor(site, address=ELSEWHERE) as visitor:
            for number in range(count):
                self.kept.append(visitor.ask() * 1000)
                if number % 10 == 0:
                    self.fresh.append(_alone(site))
                time.sleep(PAUSE)


def _alone(site: Site) -> float:
    begin = time.perf_counter()
    with Visitor(site, address=ELSEWHERE) as visitor:
        visitor.ask()
    return (time.perf_counter() - begin) * 1000


@contextmanager
def slow_visitors(mode: str, count: int, site: Site, folder: Path, seconds: int) -> Iterator[int]:
    """So many at once; gives how many are connected when all have come, or as many as will."""
    path, options = MODES[mode]
    url = f"http://{site.host_header}{path}"
    by_address = ["-d", f"{site.address}:{site.port}"]  # it cannot be told a Host, but to speak to a proxy
    command = [
        find_program("slowhttptest"),
        *options,
        *by_address,
        "-c",
        str(count),
        "-r",
        str(CONNECT_RATE),
        "-l",
        str(seconds),
    ]
    with running("slowhttptest", [*command, "-u", url, "-p", "30"], folder) as program:
        deadline, connected = time.monotonic() + CONNECT_SECONDS, 0
        while time.monotonic() < deadline and connected < count:
            time.sleep(0.2)
            program.check()
            connected = _sockets(program.pid)
        yield connected


def _sockets(pid: int) -> int:
    return sum(1 for link in Path(f"/proc/{pid}/fd").iterdir() if _leads_to(link).startswith("socket:"))


def _leads_to(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed meanwhile
        return ""


def measure(served: Running, folder: Path, given: argparse.Namespace) -> int:
    """All modes, in rounds; prints a line for each."""
    print(f"{'':14}{'connected':>10}{'p50':>16}{'p99':>16}{'new conn. p99':>18}{'relay MiB':>12}")
    for mode in MODES:
        peace, siege, connected, memory = Others(), Others(), [], 0.0
        for _ in range(given.rounds):
            peace.ask(served.site, given.requests)
            with slow_visitors(mode, given.connections, served.site, folder, given.seconds) as present:
                connected.append(present)
                siege.ask(served.site, given.requests)
                memory = max(memory, resident_kib(served.relay_pids) / 1024)
            served.check()
        figures = [
            f"{percentile(one, at):.2f} -> {percentile(two, at):.2f}"
            for one, two, at in (
                (peace.kept, siege.kept, 0.5),
                (peace.kept, siege.kept, 0.99),
                (peace.fresh, siege.fresh, 0.99),
            )
        ]
        line = f"{mode:14}{statistics.median(connected):>10.0f}{figures[0]:>16}{figures[1]:>16}{figures[2]:>18}"
        print(f"{line}{memory:>12.0f}", flush=True)
    return 0


def main(arguments: Sequence[str]) -> int:
    """0: measured; 2: could not."""
    parser = argparse.ArgumentParser(prog="python -m bench.slow", description=__doc__.partition("\n")[0])
    for name, default, text in (
        ("connections", 1000, "slow visitors at once"),
        ("requests", 1000, "of the other visitor, in each round"),
        ("rounds", 3, "how often in peace and under siege"),
        ("seconds", 60, "longest time of one siege"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} ({default})")
    given = parser.parse_args(arguments)
    allow_many_descriptors()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="egtunnel-bench-") as name,
            large_folder(8) as large,
            nginx(Ports().take(), Path(name), large, 8) as upstream,
            EGTUNNELS[0].run(Ground(upstream.port, Path(name), Ports())) as served,
        ):
            wait_until_served(served)
            return measure(served, Path(name), given)
    except (BenchError, WorkFailed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
