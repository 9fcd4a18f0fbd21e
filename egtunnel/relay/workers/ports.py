"""The ports of tunnels while there are workers: the supervisor keeps them open, one worker each takes what comes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from egtunnel.ingress.tcp import TCPIngress
from egtunnel.ingress.udp import UDPDoor, UDPIngress
from egtunnel.interfaces import ITunnel
from egtunnel.relay.reservations import Place
from egtunnel.relay.workers.rows import Row
from egtunnel.relay.workers.wire import Words

__all__ = ["Assignments", "KeptDatagrams", "KeptPorts"]


class KeptPorts(TCPIngress):
    """Opens and closes the ports of TCP tunnels, and accepts nobody there."""

    def claimed(self, tunnel: ITunnel) -> None:
        """Open the port. Raises Refused ``port-unavailable``."""
        super().claimed(tunnel)
        if tunnel.kind == "tcp":
            port: Any = self.ports[int(tunnel.name)]
            port.stopReading()


class KeptDatagrams(UDPIngress):
    """Opens and closes the ports of UDP tunnels, and reads nothing there."""

    def _begin(self, door: UDPDoor) -> None:
        """It is a worker that reads."""


class Assignments:
    """Which worker accepts at which port: the one that serves its tunnel; while nobody does, the one that did, or any.

    :param kept: the open ports, by kind of place.
    :param workers: those that are there. ``tell``: says something to one of them, with a socket.
    """

    def __init__(
        self,
        kept: Mapping[str, KeptPorts | KeptDatagrams],
        workers: Callable[[], Collection[int]],
        tell: Callable[[int, Words, Sequence[Any]], None],
    ) -> None:
        self._kept = kept
        self._workers = workers
        self._tell = tell
        self._at: dict[Place, int] = {}

    def assign(self, place: Place, row: Row | None) -> None:
        """What stands at a port has changed; None: nothing does. Places of other kinds are passed over."""
        if place.kind not in self._kept:
            return
        now, words = self._at.get(place, 0), [place.kind, place.value]
        best = 0 if row is None else self._best(now, row)
        if best == now:
            return
        if now in self._workers():
            self._tell(now, {"type": "leave-port", "place": words}, ())
        self._at.pop(place, None)
        if best:
            self._at[place] = best
            self._tell(best, {"type": "serve", "place": words}, [self._kept[place.kind].ports[int(place.value)]])

    def lost(self, worker: int) -> list[Place]:
        """A worker is gone; returns the places where nobody accepts now."""
        places = [place for place, at in self._at.items() if at == worker]
        for place in places:
            del self._at[place]
        return places

    def _best(self, now: int, row: Row) -> int:
        workers = self._workers()
        holders = [seat.worker for seat in row.seats if seat.worker in workers]
        if now in holders or (not holders and now in workers):
            return now
        return holders[0] if holders else min(workers, default=0)
