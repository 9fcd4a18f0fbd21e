"""Which worker serves a connection: where its tunnel is, unless that worker has much more to do than we have. Pure.

A visitor is best off where the client's session is. But all visitors of one tunnel there would leave the other cores
idle: from some point on they stay where they came in and go by way of the worker that holds the session.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from egtunnel.ingress.front.destination import Destination
from egtunnel.ingress.http.routes import find, route, split_path
from egtunnel.interfaces import ITunnel, ITunnels

__all__ = ["Load", "Placing"]

SLACK = 8
"""Visitors that one worker may have more than another before that counts."""
IDLE = 0.5
"""A worker that works less than this part of the time takes visitors of others, however many it has."""
BURST = 32
"""So many of them until it has said again how busy it is."""


@attrs.define
class Load:
    """What a worker says of itself now and then: ``busy``: the part of a core it used. ``sent``: connections that we
    have passed to it since.
    """

    sessions: int = 0
    visitors: int = 0
    busy: float = 0.0
    sent: int = 0


class Placing:
    """Says where a connection goes.

    :param own: our load at this moment.
    :param holder: the worker at which visitors of a tunnel are best off; 0: here.
    :ivar others: the last load of each of the others. ``kept``: clients that have stayed since we said ours.
    """

    def __init__(
        self,
        tunnels: ITunnels,
        domain: str,
        link_path: bytes,
        own: Callable[[], Load],
        holder: Callable[[ITunnel], int],
    ) -> None:
        self.others: dict[int, Load] = {}
        self.kept = 0
        self._tunnels = tunnels
        self._domain = domain
        self._link_path = link_path
        self._own = own
        self._holder = holder

    def worker(self, wish: Destination) -> int:
        """The worker that is to have it; 0: here."""
        if not self.others:
            return 0
        if wish.hello and wish.host is not None:
            passing = self._tunnels.by_tls(wish.host.name)
            if passing is not None:
                return self._for(passing)
        if wish.host is not None:
            where = route(wish.host, self._domain)
            if not where.own:
                return self._for(find(self._tunnels, wish.host, where))
        if wish.link or wish.path.partition(b"?")[0] == self._link_path:
            return self._for_link()
        named = split_path(wish.path)
        return 0 if named is None else self._for(self._tunnels.by_name(named[0]))

    def heard(self, worker: int, sessions: int, visitors: int, busy: float) -> None:
        """What another worker says."""
        self.others[worker] = Load(sessions, visitors, busy)

    def sent(self, worker: int) -> None:
        """We have passed a connection on."""
        load = self.others.get(worker)
        if load is not None:
            load.sent += 1

    def _for(self, tunnel: ITunnel | None) -> int:
        worker = 0 if tunnel is None else self._holder(tunnel)
        load = self.others.get(worker)
        if load is None:
            return 0
        even = load.visitors + load.sent <= self._own().visitors + SLACK
        return worker if even or (load.busy < IDLE and load.sent < BURST) else 0

    def _for_link(self) -> int:
        """Clients go where the fewest are; one that speaks WebSocket within TLS stays where it came in."""
        worker = min(self.others, key=lambda each: _sessions(self.others[each]))
        own = self._own()
        if _sessions(self.others[worker]) < own.sessions + self.kept:
            return worker
        self.kept += 1
        return 0


def _sessions(load: Load) -> int:
    return load.sessions + load.sent
