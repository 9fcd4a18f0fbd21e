"""Everything that is done with each contender, in the order in which it is done."""

from __future__ import annotations

from bench.metrics import CONNECTION_COUNTS, DOWNLOAD_COUNTS
from bench.work.base import Work
from bench.work.bulk import Download, Upload
from bench.work.idle import IdleMemory
from bench.work.latency import Latency, LatencyLoaded
from bench.work.load import NewConnections, Requests

__all__ = ["WORK"]

# Memory comes first: what load leaves behind in a program would be taken up again and hide the cost of a visitor.
WORK: tuple[Work, ...] = (
    IdleMemory(),
    *(Requests(count) for count in CONNECTION_COUNTS),
    NewConnections(),
    Latency(),
    *(LatencyLoaded(count) for count in DOWNLOAD_COUNTS),
    Download(),
    Upload(),
)
