"""Bulk transfer by curl: one large file down, the same file up."""

from __future__ import annotations

import subprocess
from pathlib import Path

from attrs import frozen

from bench.contenders.base import Running
from bench.errors import WorkFailed
from bench.program import find_program
from bench.site import Site
from bench.upstream import Upstream
from bench.usage import cpu_seconds
from bench.work.base import Scale

__all__ = ["Download", "Transfer", "Upload", "curl", "parse_transfer"]

LIMIT_SECONDS = 120
REPORT = "%{http_code} %{size_download} %{size_upload} %{time_total}"


@frozen
class Transfer:
    """What curl reports: status of the answer, bytes each way, seconds in all."""

    status: int
    down: int
    up: int
    seconds: float


def parse_transfer(text: str) -> Transfer:
    """Read the line that REPORT asks for.

    :raises WorkFailed: it is not one
    """
    try:
        status, down, up, seconds = text.split()
        return Transfer(int(status), int(down), int(up), float(seconds))
    except ValueError as error:
        raise WorkFailed(f"curl did not report: {text[:200]!r}") from error


def curl(site: Site, *arguments: str) -> list[str]:
    """A quiet curl that names the site's Host and reads no configuration or proxy of the account.

    Over TLS it verifies, and speaks HTTP/1.1 as it does without.
    """
    tls = [] if site.authority is None else ["--cacert", str(site.authority), "--http1.1"]
    return [
        find_program("curl"),
        "-q",
        "-sS",
        "--noproxy",
        "*",
        "-o",
        "/dev/null",
        "-H",
        f"Host: {site.host_header}",
        *tls,
        *arguments,
    ]


def _transfer(site: Site, *arguments: str) -> Transfer:
    command = curl(site, "-m", str(LIMIT_SECONDS), "-w", REPORT, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkFailed(f"curl ended with status {done.returncode}: {done.stderr.strip()[:200]}")
    return parse_transfer(done.stdout)


class Account:
    """Processor time of relay and client together, from now on."""

    def __init__(self, running: Running) -> None:
        self._pids = [*running.relay_pids, *running.client_pids]
        self._before = cpu_seconds(self._pids)

    def figure(self, metric: str, size: int) -> dict[str, float]:
        """Microseconds for each MiB of ``size`` bytes; nothing where there is neither relay nor client."""
        if not self._pids:
            return {}
        return {metric: (cpu_seconds(self._pids) - self._before) * 1e6 / (size / 2**20)}


@frozen
class Download:
    """The bulk file, once, in MB (10^6 bytes) a second."""

    name: str = "download"

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        size = upstream.bulk_file.stat().st_size
        account = Account(running)
        done = _transfer(running.site, running.site.url("/bulk"))
        spent = account.figure("cpu_download", size)
        if done.status != 200 or done.down != size:
            raise WorkFailed(f"status {done.status}, {done.down} of {size} bytes came")
        return {"download": size / done.seconds / 1e6} | spent


@frozen
class Upload:
    """The bulk file, once, to a place where nginx stores it: the clock stops when it has all of it."""

    name: str = "upload"

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        size = upstream.bulk_file.stat().st_size
        stored = upstream.uploads / "file"
        account = Account(running)
        try:
            # No "Expect": it adds a round trip and says nothing of the rate.
            url = running.site.url("/upload/file")
            done = _transfer(running.site, "-H", "Expect:", "-T", str(upstream.bulk_file), url)
            spent, arrived = account.figure("cpu_upload", size), _size(stored)
        finally:
            stored.unlink(missing_ok=True)
        if done.status not in (201, 204) or arrived != size:
            raise WorkFailed(f"status {done.status}, {arrived} of {size} bytes arrived")
        return {"upload": size / done.seconds / 1e6} | spent


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
