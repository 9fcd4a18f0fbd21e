"""Load by wrk: requests a second on keep-alive connections, and on connections that each carry one request."""

from __future__ import annotations

import re
import subprocess

from attrs import frozen

from bench.contenders.base import Running
from bench.errors import WorkFailed
from bench.program import find_program
from bench.site import Site
from bench.upstream import Upstream
from bench.usage import cpu_seconds
from bench.work.base import Scale

__all__ = ["LoadResult", "NewConnections", "Requests", "load", "parse_wrk", "wrk_command"]

EXTRA_SECONDS = 30.0
TOLERATED_FAULTS = 0.001


@frozen
class LoadResult:
    """What wrk reports.

    :ivar rate: answers a second
    :ivar faults: socket errors and answers that were not 2xx or 3xx
    """

    requests: int
    rate: float
    faults: int


def parse_wrk(text: str) -> LoadResult:
    """Read wrk's report.

    :raises WorkFailed: it is not one
    """
    requests = re.search(r"^\s*(\d+) requests in ", text, re.MULTILINE)
    rate = re.search(r"^Requests/sec:\s*([\d.]+)", text, re.MULTILINE)
    if requests is None or rate is None:
        raise WorkFailed(f"wrk did not report: {text.strip()[-200:]!r}")
    sockets = re.search(r"^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text, re.MULTILINE)
    answers = re.search(r"^\s*Non-2xx or 3xx responses: (\d+)", text, re.MULTILINE)
    faults = sum(int(group) for match in (sockets, answers) if match for group in match.groups())
    return LoadResult(int(requests.group(1)), float(rate.group(1)), faults)


def wrk_command(site: Site, connections: int, seconds: int, *headers: str) -> list[str]:
    """wrk with one thread, the same for everyone."""
    command = [find_program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-H", f"Host: {site.host_header}"]
    for header in headers:
        command += ["-H", header]
    return [*command, site.url()]


def load(site: Site, connections: int, seconds: int, *headers: str) -> LoadResult:
    """Run wrk against a site.

    :raises WorkFailed: it failed, or more than TOLERATED_FAULTS of the answers did
    """
    command = wrk_command(site, connections, seconds, *headers)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + EXTRA_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise WorkFailed("wrk did not come to an end") from error
    result = parse_wrk(done.stdout + done.stderr)
    if not result.requests:
        raise WorkFailed("no request was answered")
    if result.faults > result.requests * TOLERATED_FAULTS:
        raise WorkFailed(f"{result.faults} faults beside {result.requests} answers")
    return result


@frozen
class Requests:
    """Requests a second over a number of keep-alive connections, and what each costs relay and client."""

    connections: int

    @property
    def name(self) -> str:
        return f"requests-{self.connections}"

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        pids = [*running.relay_pids, *running.client_pids]
        before = cpu_seconds(pids)
        result = load(running.site, self.connections, scale.seconds)
        figures = {f"requests_{self.connections}": result.rate}
        if pids:
            figures[f"cpu_{self.connections}"] = (cpu_seconds(pids) - before) * 1e6 / result.requests
        return figures


@frozen
class NewConnections:
    """New connections a second: wrk with 32 at once and ``Connection: close``, so one request on each."""

    connections: int = 32
    name: str = "connections"

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        result = load(running.site, self.connections, scale.seconds, "Connection: close")
        return {"new_connections": result.rate}
