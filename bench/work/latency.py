"""How long one small request takes, on a quiet tunnel and beside bulk downloads."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from bench.contenders.base import Running
from bench.errors import WorkFailed
from bench.figures import percentile
from bench.program import Program
from bench.program import running as started
from bench.site import Site
from bench.upstream import Upstream
from bench.usage import written_bytes
from bench.work.base import Scale
from bench.work.bulk import curl
from bench.work.visitor import Visitor

__all__ = ["Latency", "LatencyLoaded", "latencies"]

SETTLE_SECONDS = 0.5
STILL_SECONDS = 2.0
"""Downloads that wrote nothing for so long stand still."""
LIMIT_SECONDS = 20.0
LEAST_SAMPLES = 50


def latencies(site: Site, count: int) -> list[float]:
    """Milliseconds of each of ``count`` requests, one after another on one connection.

    A tunnel that is so slow that they would take longer than LIMIT_SECONDS is asked less often.

    :raises WorkFailed: not even LEAST_SAMPLES (or ``count``, if that is less) were answered in that time
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    found: list[float] = []
    with Visitor(site) as visitor:
        while len(found) < count and time.monotonic() < deadline:
            found.append(visitor.ask() * 1000)
    if len(found) < min(count, LEAST_SAMPLES):
        raise WorkFailed(f"only {len(found)} requests were answered in {LIMIT_SECONDS:g} s")
    return found


@frozen
class Latency:
    """Small requests alone."""

    name: str = "latency"

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        found = latencies(running.site, scale.latency_samples)
        return {"latency_p50": percentile(found, 0.5), "latency_p99": percentile(found, 0.99)}


@frozen
class LatencyLoaded:
    """Small requests while so many visitors download without pause, as fast as they can; their rate is told too."""

    downloads: int

    @property
    def name(self) -> str:
        return f"latency-loaded-{self.downloads}"

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        with _downloads(running.site, self.downloads) as programs:
            time.sleep(SETTLE_SECONDS)
            begin, before = time.monotonic(), _moved(programs)
            found = latencies(running.site, scale.latency_samples)
            while (moved := _moved(programs) - before) <= 0 and time.monotonic() - begin < STILL_SECONDS:
                time.sleep(0.01)  # few samples may be over before curl has written anything
            rate = moved / (time.monotonic() - begin) / 1e6
        if rate <= 0:
            raise WorkFailed("the downloads beside it stood still")
        key = f"loaded_{self.downloads}"
        return {f"{key}_p50": percentile(found, 0.5), f"{key}_p99": percentile(found, 0.99), f"{key}_bulk": rate}


@contextmanager
def _downloads(site: Site, count: int) -> Iterator[list[Program]]:
    # One curl fetches the file over and over on its one connection, until it is ended.
    command = curl(site, site.url("/bulk?[1-1000000]"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="egtunnel-bench-")))
        yield [stack.enter_context(started(f"curl-{n}", command, folder)) for n in range(count)]


def _moved(programs: list[Program]) -> int:
    for program in programs:
        program.check()
    return sum(written_bytes(program.pid) for program in programs)
