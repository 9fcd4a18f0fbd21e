"""The figures that are taken: what each is called, its unit, and which way is better."""

from __future__ import annotations

from enum import Enum

from attrs import frozen

__all__ = ["CONNECTION_COUNTS", "DOWNLOAD_COUNTS", "METRICS", "Better", "Failure", "Metric", "Sample"]

CONNECTION_COUNTS = (1, 32, 256)
DOWNLOAD_COUNTS = (4, 8)


class Better(Enum):
    """Which way a figure improves; ``NEITHER`` for figures that only explain others and get no ratio."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


@frozen
class Metric:
    """One row of the table.

    :ivar key: the name in the JSON
    :ivar title: the name for people
    :ivar unit: the unit of the value
    """

    key: str
    title: str
    unit: str
    better: Better


@frozen
class Sample:
    """One measured value: of one contender, in one round."""

    round: int
    contender: str
    metric: str
    value: float


@frozen
class Failure:
    """A piece of work that gave no figure, and why."""

    round: int
    contender: str
    work: str
    reason: str


def _connections(count: int) -> str:
    return f"{count} connection{'s' if count > 1 else ''}"


def _beside_downloads(count: int) -> tuple[Metric, ...]:
    return (
        Metric(f"loaded_{count}_p50", f"latency beside {count} downloads, p50", "ms", Better.LOWER),
        Metric(f"loaded_{count}_p99", f"latency beside {count} downloads, p99", "ms", Better.LOWER),
        Metric(f"loaded_{count}_bulk", f"what those {count} downloads got", "MB/s", Better.NEITHER),
    )


def _metrics() -> tuple[Metric, ...]:
    rates = [Metric(f"requests_{n}", f"requests, {_connections(n)}", "1/s", Better.HIGHER) for n in CONNECTION_COUNTS]
    costs = [Metric(f"cpu_{n}", f"CPU a request, {_connections(n)}", "us", Better.LOWER) for n in CONNECTION_COUNTS]
    loaded = [metric for n in DOWNLOAD_COUNTS for metric in _beside_downloads(n)]
    return (
        *rates,
        Metric("new_connections", "new connections, 32 at once", "1/s", Better.HIGHER),
        Metric("download", "download", "MB/s", Better.HIGHER),
        Metric("upload", "upload", "MB/s", Better.HIGHER),
        Metric("latency_p50", "latency alone, p50", "ms", Better.LOWER),
        Metric("latency_p99", "latency alone, p99", "ms", Better.LOWER),
        *loaded,
        *costs,
        Metric("cpu_download", "CPU a MiB of download", "us", Better.LOWER),
        Metric("cpu_upload", "CPU a MiB of upload", "us", Better.LOWER),
        Metric("idle_relay", "memory of an idle visitor, relay", "KiB", Better.LOWER),
        Metric("idle_client", "memory of an idle visitor, client", "KiB", Better.LOWER),
    )


METRICS: tuple[Metric, ...] = _metrics()
"""Every metric, in the order of the table."""
