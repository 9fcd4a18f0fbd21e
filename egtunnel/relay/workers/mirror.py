"""A worker's table of public names: what the supervisor says stands where, and which worker serves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
from zope.interface import implementer

from egtunnel.errors import UnknownTunnel
from egtunnel.interfaces import ITunnel, ITunnels
from egtunnel.relay.guards import Guards, Post, Sentry
from egtunnel.relay.health import ServerLimits
from egtunnel.relay.names import canonical
from egtunnel.relay.reservations import Place
from egtunnel.relay.servers import Servers, Serving
from egtunnel.relay.tunnels import Tunnel, kind_of
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.relay.workers.rows import Row, Seat
from egtunnel.session.session import Session
from egtunnel.session.transport import ChannelTransport

__all__ = ["Mirror", "RemoteSession", "Roads"]


class Roads(Protocol):
    """The ways to the other workers."""

    def there(self, worker: int) -> bool:
        """Whether there is one."""

    def open(self, worker: int, metadata: dict[str, Any]) -> ChannelTransport:
        """A channel to it. Raises LinkLost or TooManyChannels."""


class RemoteSession:
    """A session that another worker holds: channels to it go by that worker."""

    __slots__ = ("_heard", "_roads", "id", "worker")

    def __init__(self, roads: Roads, worker: int, id: str, heard: bool) -> None:
        self.id = id
        self.worker = worker
        self._roads = roads
        self._heard = heard

    @property
    def online(self) -> bool:
        """Whether a channel could be opened now."""
        return self._heard and self._roads.there(self.worker)

    def hear(self, heard: bool) -> None:
        """Its link is there, or it is not."""
        self._heard = heard

    def least_busy(self) -> RemoteSession:
        """The worker that holds it chooses among its links."""
        return self

    def open(self, metadata: dict[str, Any]) -> ChannelTransport:
        """Open a channel. Raises TooManyChannels or LinkLost."""
        return self._roads.open(self.worker, {"session": self.id, "ask": metadata})


@implementer(ITunnels)
class Mirror:
    """All tunnels, whichever worker serves them.

    :param worker: our number.
    :param local: our own session of an id; None: it is over.
    """

    def __init__(
        self,
        worker: int,
        local: Callable[[str], Session | None],
        roads: Roads,
        room: WaitingRoom,
        now: Callable[[], float],
        limits: ServerLimits | None = None,
        guards: Guards | None = None,
    ) -> None:
        self._worker = worker
        self._local = local
        self._roads = roads
        self._room = room
        self._now = now
        self._limits = limits or ServerLimits()
        self._guards = guards or Guards()
        self._tunnels: dict[Place, Tunnel] = {}
        self._names: dict[str, Tunnel] = {}
        self._hosts: dict[str, Tunnel] = {}
        self._tls: dict[str, Tunnel] = {}
        self._remote: dict[tuple[int, str], RemoteSession] = {}
        self._unheard: set[tuple[int, str]] = set()
        self._served: dict[Serving, dict[Place, None]] = {}

    # -- ITunnels

    def by_name(self, name: str) -> ITunnel | None:
        """The HTTP tunnel of that name below the relay's domain."""
        return self._names.get(canonical(name))

    def by_host(self, host: str) -> ITunnel | None:
        """The HTTP tunnel with that custom host name."""
        return self._hosts.get(canonical(host))

    def by_tls(self, host: str) -> ITunnel | None:
        """The TLS tunnel of that whole host name."""
        return self._tls.get(canonical(host))

    # -- what the supervisor says

    def at(self, place: Place) -> Tunnel | None:
        """The tunnel that stands at a place."""
        return self._tunnels.get(place)

    def put(self, row: Row) -> None:
        """A tunnel stands, as it says."""
        tunnel = self._standing(row)
        came = self._seat(tunnel, row.seats)
        if came:
            self._room.let_in(row.place)

    def remove(self, place: Place) -> None:
        """Nothing stands there any more."""
        tunnel = self._tunnels.pop(place, None)
        if tunnel is None:
            return
        index = self._index(place)
        if index is not None:
            del index[place.value]
        self._seat(tunnel, ())
        self._room.send_away(place, UnknownTunnel("this name was given back"))

    def hear(self, worker: int, id: str, heard: bool) -> None:
        """A session of another worker has lost its link, or has one again."""
        key = worker, id
        if heard:
            self._unheard.discard(key)
        else:
            self._unheard.add(key)
        session = self._remote.get(key)
        if session is not None:
            session.hear(heard)
            (self.back if heard else self.unheard)(session)

    def forget(self, worker: int) -> None:
        """A worker is gone; what it served is told apart."""
        self._unheard = {key for key in self._unheard if key[0] != worker}

    # -- the links of sessions

    def unheard(self, session: Serving) -> None:
        """It has no link at the moment; its visitors may turn to others."""
        for tunnel in self._of(session):
            for server in tunnel.servers:
                if server.session is session:
                    server.unheard()

    def back(self, session: Serving) -> None:
        """It has a link again."""
        for tunnel in self._of(session):
            self._room.let_in(tunnel.place)

    def holder(self, tunnel: Any) -> int:
        """The worker at which visitors of a tunnel are best off; 0: here, or nowhere else."""
        found = 0
        for server in tunnel.servers:
            if server.online:
                session: Any = server.session
                if not isinstance(session, RemoteSession):
                    return 0
                found = found or session.worker
        return found

    def _of(self, session: Serving) -> list[Tunnel]:
        return [self._tunnels[place] for place in self._served.get(session, ()) if place in self._tunnels]

    # --

    def _standing(self, row: Row) -> Tunnel:
        place = row.place
        tunnel = self._tunnels.get(place)
        if tunnel is not None and tunnel.manner == row.manner:
            return tunnel
        if tunnel is None:
            servers = Servers(self._now, self._limits)
            kind = kind_of(place)
            sentry = Sentry(self._guards, Post(kind, place.value))
            tunnel = Tunnel(kind, place.value, place, self._room, sentry, servers)
        else:
            tunnel = attrs.evolve(tunnel)  # what has begun goes on as it began
        tunnel.behave(row.manner)
        self._tunnels[place] = tunnel
        index = self._index(place)
        if index is not None:
            index[place.value] = tunnel
        return tunnel

    def _seat(self, tunnel: Tunnel, seats: tuple[Seat, ...]) -> bool:
        """Have exactly these serve it; whether there is a new one."""
        known = {server.id: server for server in tunnel.servers}
        wanted = {seat.id: seat for seat in seats}
        for id, server in known.items():
            if id not in wanted:
                tunnel.servers.remove(server)
                self._leave(server.session, tunnel.place)
        came = False
        for id, seat in wanted.items():
            session = None if id in known else self._session(seat)
            if session is not None:
                tunnel.servers.add(session, seat.number, seat.client, id)
                self._served.setdefault(session, {})[tunnel.place] = None
                came = True
        return came

    def _session(self, seat: Seat) -> Serving | None:
        if seat.worker == self._worker:
            return self._local(seat.session)
        key = seat.worker, seat.session
        session = self._remote.get(key)
        if session is None:
            heard = key not in self._unheard
            session = self._remote[key] = RemoteSession(self._roads, seat.worker, seat.session, heard)
        return session

    def _leave(self, session: Serving, place: Place) -> None:
        places = self._served.get(session, {})
        places.pop(place, None)
        if not places:
            self._served.pop(session, None)
            if isinstance(session, RemoteSession):
                self._remote.pop((session.worker, session.id), None)

    def _index(self, place: Place) -> dict[str, Tunnel] | None:
        return {"name": self._names, "host": self._hosts, "tls": self._tls}.get(place.kind)
