"""The ports of TCP tunnels while there are workers: the supervisor keeps them open, one worker each accepts there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from egtunnel.ingress.tcp import TCPIngress
from egtunnel.interfaces import ITunnel
from egtunnel.relay.workers.rows import Row
from egtunnel.relay.workers.wire import Words

__all__ = ["Assignments", "KeptPorts"]


class KeptPorts(TCPIngress):
    """Opens and closes the ports of TCP tunnels, and accepts nobody there."""

    def claimed(self, tunnel: ITunnel) -> None:
        """Open the port. Raises Refused ``port-unavailable``."""
        super().claimed(tunnel)
        if tunnel.kind == "tcp":
            port: Any = self.ports[int(tunnel.name)]
            port.stopReading()


class Assignments:
    """Which worker accepts at which port: the one that serves its tunnel; while nobody does, the one that did, or any.

    :param workers: those that are there. ``tell``: says something to one of them, with a socket.
    """

    def __init__(
        self,
        kept: KeptPorts,
        workers: Callable[[], Collection[int]],
        tell: Callable[[int, Words, Sequence[Any]], None],
    ) -> None:
        self._kept = kept
        self._workers = workers
        self._tell = tell
        self._at: dict[int, int] = {}

    def assign(self, port: int, row: Row | None) -> None:
        """What stands at a port has changed; None: nothing does."""
        now = self._at.get(port, 0)
        best = 0 if row is None else self._best(now, row)
        if best == now:
            return
        if now in self._workers():
            self._tell(now, {"type": "leave-port", "port": port}, ())
        self._at.pop(port, None)
        if best:
            self._at[port] = best
            self._tell(best, {"type": "serve", "port": port}, [self._kept.ports[port]])

    def lost(self, worker: int) -> list[int]:
        """A worker is gone; returns the ports where nobody accepts now."""
        ports = [port for port, at in self._at.items() if at == worker]
        for port in ports:
            del self._at[port]
        return ports

    def _best(self, now: int, row: Row) -> int:
        workers = self._workers()
        holders = [seat.worker for seat in row.seats if seat.worker in workers]
        if now in holders or (not holders and now in workers):
            return now
        return holders[0] if holders else min(workers, default=0)
