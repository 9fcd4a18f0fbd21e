"""``python -m bench.scale``: what visitors and clients cost as they grow many; curves and JSON under docs/.

All visitors come through one TCP tunnel. Memory is the growth of resident memory; processor time is what the kernel
counted while all were idle.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve

from bench.command import allow_many_descriptors
from bench.contenders.base import Ground, Running
from bench.contenders.egtunnel import CHECKOUT, EGTUNNELS_TLS, Egtunnel, Places, daemon
from bench.errors import BenchError, WorkFailed
from bench.machine import commit, describe_machine, short
from bench.ports import Ports
from bench.program import running as started
from bench.program import wait_for_file, wait_for_port
from bench.result import write
from bench.svg import Curve, curves
from bench.upstream import large_folder, nginx
from bench.usage import cpu_seconds, resident_kib
from bench.work.load import load
from bench.work.visitor import Visitor, wait_until_served

__all__ = ["KEPT", "SHAPES", "drawings", "main", "section"]

SETTLE_SECONDS = 2.0
ABREAST = 500
"""Visitors who connect before the last of them waits for an answer: it is not the coming that is measured."""
BUSY_SECONDS = 5
MANY_CHANNELS, MANY_VISITORS = ("--max-channels", "20000"), ("--max-visitors", "20000")
"""More than the defaults let in, of both daemons and of the relay."""
KEPT = "scale.json"
Points = list[dict[str, float]]
SHAPES = {
    "scale-visitors": ("visitors", "Memory of idle visitors", "idle visitors", "MiB", ("relay_mib", "client_mib")),
    "scale-busy": ("busy", "Processor time a request", "busy channels", "us", ("cpu_us",)),
    "scale-busy-memory": ("busy", "Memory of both daemons", "busy channels", "MiB", ("memory_mib",)),
    "scale-clients": ("clients", "Memory of idle clients", "idle clients", "MiB", ("relay_mib",)),
    "scale-clients-cpu": (
        "clients",
        "Processor time of idle clients",
        "idle clients",
        "% of a core",
        ("relay_percent",),
    ),
}
"""Charts by file name: which points, title, axes, and the members of each curve."""


def visitors(running: Running, counts: Sequence[int]) -> Points:
    """Connect up to each count of visitors who do nothing; in the end the last of them is answered."""
    with Visitor(running.site) as first:
        first.ask()
    base = [resident_kib(pids) for pids in (running.relay_pids, running.client_pids)]
    points: Points = []
    with ExitStack() as stack:
        connected: list[Visitor] = []
        for count in counts:
            while len(connected) < count:
                connected.append(stack.enter_context(Visitor(running.site)))
                if len(connected) % ABREAST == 0:
                    connected[-1].ask()  # those before it have their connections to the service, too
            time.sleep(SETTLE_SECONDS)
            now = [resident_kib(pids) for pids in (running.relay_pids, running.client_pids)]
            relay, client = ((after - before) / 1024 for before, after in zip(base, now, strict=True))
            points.append({"count": count, "relay_mib": relay, "client_mib": client})
        for visitor in connected[::100]:
            visitor.ask()
    return points


def busy(running: Running, counts: Sequence[int], seconds: int) -> Points:
    """Each count of visitors who ask all the time, over a connection and so a channel of their own."""
    pids = [*running.relay_pids, *running.client_pids]
    points: Points = []
    for count in filter(None, counts):
        before = cpu_seconds(pids)
        done = load(running.site, count, seconds)
        cost = (cpu_seconds(pids) - before) * 1e6 / done.requests
        points.append({"count": count, "cpu_us": cost, "memory_mib": resident_kib(pids) / 1024, "rate": done.rate})
    return points


def clients(folder: Path, ports: Ports, counts: Sequence[int], seconds: float) -> Points:
    """A relay with each count of clients that have nothing to do, a process of theirs for each step."""
    contender, places = Egtunnel("egtunnel-http", tcp=False), Places(ports.take(), ports.take(), 9, folder)
    options = contender.relay_options(places)
    points: Points = []
    with ExitStack() as stack:
        relay = stack.enter_context(daemon("egrelay", options, folder))
        wait_for_port(places.port, relay)
        wait_for_file(places.token, relay)
        base, there = resident_kib([relay.pid]), 0
        for count in counts:
            if count > there:
                fleet = ["tests.integration.faults.fleet", f"ws://localhost:{places.port}/connect", str(places.token)]
                command = [sys.executable, "-m", *fleet, str(count - there), f"c{there}x"]
                program = stack.enter_context(started(f"fleet-{count}", command, folder, {"PYTHONPATH": str(CHECKOUT)}))
                deadline = time.monotonic() + 60
                while program.output().count(" -> ") < count - there:
                    program.check()
                    if time.monotonic() > deadline:
                        raise BenchError(f"not all of {count} clients were there within 60 s")
                    time.sleep(0.2)
                there = count
            time.sleep(SETTLE_SECONDS)
            memory, before, begin = resident_kib([relay.pid]), cpu_seconds([relay.pid]), time.monotonic()
            time.sleep(seconds)
            percent = (cpu_seconds([relay.pid]) - before) / (time.monotonic() - begin) * 100
            points.append({"count": count, "relay_mib": (memory - base) / 1024, "relay_percent": percent})
    return points


def drawings(result: Mapping[str, Any]) -> dict[str, str]:
    """SVG text by file name, of what there is."""
    found = {}
    for name, (key, title, across, up, members) in SHAPES.items():
        points = result.get(key)
        if points:
            lines = [Curve(m.split("_")[0], [(p["count"], max(p[m], 0.0)) for p in points]) for m in members]
            found[f"{name}.svg"] = curves(title, across, up, lines)
    return found


def section(result: Mapping[str, Any]) -> str:
    """What the page of the benchmarks says of it, as Markdown."""
    said = (
        f"Taken {result['started'][:10]} at commit `{short(result['commit'])}`; growth over none, at the last point:\n"
    )
    lines = ["## Many at once\n", said]
    if last := (result.get("visitors") or [None])[-1]:
        relay, client = (last[key] * 1024 / last["count"] for key in ("relay_mib", "client_mib"))
        lines.append(f"- {last['count']:,} idle visitors of a TCP tunnel: {relay:.1f} KiB each in the relay, ")
        lines[-1] += f"{client:.1f} KiB in the client (goal: at most 8)"
    if points := result.get("busy"):
        first, last = points[0], points[-1]
        lines.append(
            f"- {last['count']:,} channels busy at once: {last['cpu_us']:.0f} us of processor time a request, beside "
            f"{first['cpu_us']:.0f} with {first['count']:,}; both daemons have {last['memory_mib']:.0f} MiB then"
        )
    if last := (result.get("clients") or [None])[-1]:
        memory, percent = last["relay_mib"] * 1024 / last["count"], last["relay_percent"]
        lines.append(
            f"- {last['count']:,} idle clients without TLS: {memory:.1f} KiB each in the relay (goal: at most 64), "
        )
        lines[-1] += f"{percent:.1f} % of a core (goal: under 2)"
    pictures = [f"![{SHAPES[name[:-4]][1]}](benchmarks/{name})\n" for name in drawings(result)]
    return "\n".join([*lines, "", *pictures, ""])


def main(arguments: Sequence[str], docs: Path = CHECKOUT / "docs") -> int:
    """Measure, write JSON and curves.

    :return: 0, or 2 when it could not be measured
    """
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="Measure idle visitors and clients.")
    parser.add_argument("--visitors", type=int, default=10_000)
    parser.add_argument("--busy", type=int, default=5000, help="channels that are busy at once")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0, help="for which idle clients are watched at each step")
    given = parser.parse_args(arguments)
    allow_many_descriptors()
    result: dict[str, Any] = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit()}
    result["machine"] = describe_machine()
    contender = next(contender for contender in EGTUNNELS_TLS if contender.tcp)
    tcp = evolve(contender, relay_more=MANY_VISITORS, more=MANY_CHANNELS)
    try:
        with tempfile.TemporaryDirectory(prefix="egtunnel-bench-") as name, large_folder(1) as large:
            ports = Ports()
            with nginx(ports.take(), Path(name), large, 1) as upstream:
                own = Path(name) / "visitors"
                own.mkdir()
                with tcp.run(Ground(upstream.port, own, ports)) as running:
                    wait_until_served(running)
                    result["visitors"] = visitors(running, _steps(given.visitors))
                    result["busy"] = busy(running, [32, *_steps(given.busy)], BUSY_SECONDS)
            own = Path(name) / "clients"
            own.mkdir()
            result["clients"] = clients(own, ports, _steps(given.clients), given.seconds)
    except (BenchError, WorkFailed) as error:
        print(f"bench.scale: {error}", file=sys.stderr)
        return 2
    folder = docs / "benchmarks"
    folder.mkdir(exist_ok=True)
    write(folder / KEPT, result)
    for file, text in drawings(result).items():
        (folder / file).write_text(text)
    return 0


def _steps(highest: int) -> list[int]:
    return [0, highest // 4, highest // 2, highest]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
