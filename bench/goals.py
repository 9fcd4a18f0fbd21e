"""What the figures are held against: where egtunnel is behind, and which of its goals it misses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from bench.figures import ratio
from bench.metrics import METRICS, Better, Metric
from bench.table import number

__all__ = ["MEASURES", "Behind", "behind", "is_ours", "missed"]

Medians = Mapping[str, Mapping[str, float]]
OURS = "egtunnel-"
MEASURES = frozenset({"direct", "nginx-proxy"})
"""Contenders that are no tunnels and that nobody could pick instead."""
TCP, HTTP = "egtunnel-tcp-tls", "egtunnel-http-tls"
PROXY = "nginx-proxy"
AHEAD_OF_SSH = 1.2
CPU_US = {TCP: 60.0, HTTP: 100.0}
CPU_TIMES = 3.0
IDLE_KIB = 8.0
LOADED_TIMES = 3.0


@frozen
class Behind:
    """One row in which one of ours does less well than a peer.

    :ivar times: as good as the peer, below 1
    """

    metric: Metric
    ours: str
    peer: str
    value: float
    against: float
    times: float


def is_ours(name: str) -> bool:
    """Whether a contender is egtunnel."""
    return name.startswith(OURS)


def behind(medians: Medians) -> list[Behind]:
    """Every row that is lost, by metric in the order of the table, the worst first."""
    found: list[Behind] = []
    for metric in METRICS:
        rows = [row for ours in medians if is_ours(ours) for row in _lost(metric, ours, medians)]
        found += sorted(rows, key=lambda row: row.times)
    return found


def _lost(metric: Metric, ours: str, medians: Medians) -> Iterator[Behind]:
    value = medians[ours].get(metric.key)
    for peer, figures in medians.items():
        if value is None or is_ours(peer) or peer in MEASURES or metric.key not in figures:
            continue
        times = ratio(metric, value, figures[metric.key])
        if times is not None and times < 1:
            yield Behind(metric, ours, peer, value, figures[metric.key], times)


def missed(medians: Medians, encrypting: frozenset[str]) -> list[str]:
    """A line for each goal that the figures miss; a goal without its figures is not judged.

    :param encrypting: contenders with encrypted links
    """
    return [*_ahead(medians, encrypting), *_processor(medians), *_idle(medians), *_loaded(medians)]


def _ahead(medians: Medians, encrypting: frozenset[str]) -> Iterator[str]:
    peers = sorted(name for name in encrypting if not is_ours(name) and name not in MEASURES and name != "ssh")
    bars = [(TCP, "ssh", AHEAD_OF_SSH), (HTTP, "ssh", 1.0), *((HTTP, peer, 1.0) for peer in peers)]
    for ours, bar, goal in bars:
        for metric in METRICS:
            if metric.better is Better.NEITHER or metric.key.startswith(("cpu_", "idle_")):
                continue
            value, against = (medians.get(name, {}).get(metric.key) for name in (ours, bar))
            times = ratio(metric, value, against) if value is not None else None
            if times is not None and times < goal:
                yield f"{metric.title}: {ours} is {times:.2f} times as good as {bar}; the goal is {goal:.1f}"


def _processor(medians: Medians) -> Iterator[str]:
    proxy = medians.get(PROXY, {}).get("cpu_256", 0.0)
    for name, limit in CPU_US.items():
        value, goal = medians.get(name, {}).get("cpu_256"), max(limit, CPU_TIMES * proxy)
        if value is not None and value > goal:
            yield f"CPU a request, 256 connections: {name} {number(value)} us; the goal is at most {number(goal)} us"


def _idle(medians: Medians) -> Iterator[str]:
    for name in filter(is_ours, medians):
        for key, place in (("idle_relay", "relay"), ("idle_client", "client")):
            value = medians[name].get(key)
            if value is not None and value > IDLE_KIB:
                yield f"an idle visitor of {name}: {number(value)} KiB in the {place}; the goal is at most {IDLE_KIB:g}"


def _loaded(medians: Medians) -> Iterator[str]:
    key = "loaded_8_p99"
    peers = [row[key] for name, row in medians.items() if not is_ours(name) and name not in MEASURES and key in row]
    for name in (TCP, HTTP):
        alone, loaded = (medians.get(name, {}).get(each) for each in ("latency_p99", key))
        if loaded is None:
            continue
        if alone is not None and loaded > LOADED_TIMES * alone:
            yield f"p99 beside 8 downloads: {name} {loaded / alone:.1f} times its p99 alone; the goal is at most 3"
        third = min(peers, default=float("inf")) / 3
        if loaded > third:
            yield f"p99 beside 8 downloads: {name} {number(loaded)} ms; a third of the best peer's is {number(third)}"
