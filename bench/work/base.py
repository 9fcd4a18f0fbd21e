"""What every piece of work gives: a name, and figures by metric key."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from bench.contenders.base import Running
from bench.upstream import Upstream

__all__ = ["Scale", "Work"]


@frozen
class Scale:
    """How much of everything.

    :ivar seconds: of each wrk run; wrk knows whole seconds only
    :ivar size_mib: of the bulk transfers
    :ivar latency_samples: requests of each latency run
    :ivar idle_connections: visitors of the memory run
    """

    seconds: int = 5
    size_mib: int = 1024
    latency_samples: int = 2000
    idle_connections: int = 1000


class Work(Protocol):
    """One thing that visitors do, and what is measured of it."""

    @property
    def name(self) -> str:
        """The name for ``--work``."""

    def run(self, running: Running, upstream: Upstream, scale: Scale) -> dict[str, float]:
        """Do it once.

        :return: values by metric key
        :raises WorkFailed: an answer was wrong, missing or short, so that no figure can be believed
        """
