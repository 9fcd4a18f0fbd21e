"""What visitors cost who are connected and do nothing: resident memory of relay and client."""

from __future__ import annotations

import time
from contextlib import ExitStack

from attrs import frozen

from bench.contenders.base import Running
from bench.errors import WorkFailed
from bench.upstream import Upstream
from bench.usage import resident_kib
from bench.work.base import Scale
from bench.work.visitor import Visitor

__all__ = ["IdleMemory"]

WARM_UP_CONNECTIONS = 4
SETTLE_SECONDS = 1.0
LIMIT_SECONDS = 60.0


@frozen
class IdleMemory:
    """Growth of resident memory by many idle connections, KiB for each.

    Through an HTTP tunnel each makes one request first, since a relay may not look for a tunnel before that. In the end
    every one of them asks and must be answered: a tunnel that keeps no memory because it dropped them has not passed.
    """

    name: str = "idle-memory"

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        if not running.relay:
            return {}
        _warm_up(running)
        relay, client = resident_kib(running.relay_pids), resident_kib(running.client_pids)
        deadline = time.monotonic() + LIMIT_SECONDS
        with ExitStack() as stack:
            visitors: list[Visitor] = []
            for _ in range(scale.idle_connections):
                visitors.append(stack.enter_context(Visitor(running.site)))
                if running.site.speaks_http:
                    _ask(visitors[-1], deadline)
            time.sleep(SETTLE_SECONDS)
            figures = {
                "idle_relay": (resident_kib(running.relay_pids) - relay) / len(visitors),
                "idle_client": (resident_kib(running.client_pids) - client) / len(visitors),
            }
            for visitor in visitors:
                _ask(visitor, deadline)
        return figures if running.client else {"idle_relay": figures["idle_relay"]}


def _ask(visitor: Visitor, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise WorkFailed(f"the visitors did not all get an answer within {LIMIT_SECONDS:g} s")
    visitor.ask()


def _warm_up(running: Running) -> None:
    # What a program loads at its first requests belongs to it, not to the visitors.
    for _ in range(WARM_UP_CONNECTIONS):
        with Visitor(running.site) as visitor:
            visitor.ask()
            visitor.ask()
