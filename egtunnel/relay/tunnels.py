"""The table of public names: which tunnel stands where, whose it is, and how its visitors reach it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from egtunnel.errors import Refused, UnknownTunnel
from egtunnel.guard import IGuard
from egtunnel.interfaces import IRoute, ITunnel, ITunnels, Visitor
from egtunnel.policy import HeaderPolicy
from egtunnel.relay.dialing import SharedRoute, SingleRoute
from egtunnel.relay.guards import Guards, Post, Sentry
from egtunnel.relay.health import ServerLimits
from egtunnel.relay.names import canonical
from egtunnel.relay.reservations import Owner, Place, Reservations
from egtunnel.relay.servers import Server, Servers
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.session.session import Session

__all__ = ["Manner", "Observer", "Tunnel", "TunnelTable", "kind_of"]


KINDS = {"port": "tcp", "tls": "tls", "udp": "udp"}
"""Kinds of tunnels by those of their places, where these are not of HTTP."""


def kind_of(place: Place) -> str:
    """The kind of the tunnels that stand at such a place."""
    return KINDS.get(place.kind, "http")


@attrs.frozen
class Manner:
    """How a tunnel treats what goes through it; all who share one have to agree.

    ``share``: others of the same token may serve it, too. ``sticky`` as in ``ITunnel``. ``access``: rules for visitors,
    as ``Guards`` has them. ``dedicated`` as in ``ITunnel``.
    """

    host_header: str = ""
    protocol: str = "http/1.1"
    policy: HeaderPolicy | None = None
    share: bool = False
    sticky: str = ""
    access: str = attrs.field(default="", repr=False)
    dedicated: bool = False


@implementer(ITunnel)
@attrs.define(eq=False)
class Tunnel:
    """A public name and its ``servers``: one as a rule, none while its owner is away."""

    kind: str
    name: str
    place: Place
    room: WaitingRoom = attrs.field(repr=False)
    sentry: Sentry = attrs.field(repr=False)
    servers: Servers = attrs.field(factory=Servers, repr=False)
    manner: Manner = Manner()
    scheme: str = "http"
    host_header: str = ""
    protocol: str = "http/1.1"
    policy: HeaderPolicy | None = None
    sticky: str = ""
    dedicated: bool = False

    def behave(self, manner: Manner) -> None:
        """Treat visitors like this from now on."""
        self.manner = manner
        self.host_header, self.protocol = manner.host_header, manner.protocol
        self.policy, self.sticky = manner.policy, manner.sticky
        self.dedicated = manner.dedicated
        self.sentry.follow(manner.access)

    @property
    def guard(self) -> IGuard | None:
        """The rules of the place as they are now, whichever tunnel of it is asked."""
        return self.sentry.guard

    @property
    def connections(self) -> int | None:
        """How many connections, or requests, there may be at once; None: any number."""
        limiter = self.sentry.limiter
        return None if limiter is None else limiter.connections

    def dialer(self, visitor: Visitor) -> IRoute:
        """The endpoint that opens a channel to the upstream for this visitor."""
        route: IRoute
        if self.manner.share:
            route = SharedRoute(self.place, self.servers, self.room, visitor, self.sticky, self.sentry)
        else:
            route = SingleRoute(self.place, self.servers, self.room, visitor, self.sentry)
        limiter = self.sentry.limiter
        return route if limiter is None else limiter.route(route)


class Observer(Protocol):
    """Told of tunnels that come and go."""

    def claimed(self, tunnel: Tunnel) -> None:
        """A tunnel is to stand here; raise Refused to prevent it."""

    def released(self, tunnel: Tunnel) -> None:
        """A tunnel does not stand here any more."""


@implementer(ITunnels)
class TunnelTable:
    """All tunnels, by place; the only code that changes both a tunnel and its reservation.

    A tunnel stays while its owner is away, until it is released or its reservation ends. ``on_change`` is called
    whenever there is something new to remember. ``scoped``: by token, the claims of its sessions, if it may not do all.
    """

    log = Logger()

    def __init__(
        self,
        reservations: Reservations,
        room: WaitingRoom,
        now: Callable[[], float],
        on_change: Callable[[], None] = lambda: None,
        *,
        random_text: Callable[[], str] = lambda: secrets.token_hex(8),
        limits: ServerLimits | None = None,
        guards: Guards | None = None,
    ) -> None:
        self.limits = limits or ServerLimits()
        self.guards = guards or Guards()
        self.reservations = reservations
        self.observers: list[Observer] = []
        self.scoped: dict[str, list[Any]] = {}
        self.on_change = on_change
        self._room = room
        self._now = now
        self._random_text = random_text
        self._tunnels: dict[Place, Tunnel] = {}
        self._names: dict[str, Tunnel] = {}
        self._hosts: dict[str, Tunnel] = {}
        self._tls: dict[str, Tunnel] = {}

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

    def all(self) -> list[Tunnel]:
        """All that stand."""
        return list(self._tunnels.values())

    # -- for claims and admission

    def at(self, place: Place) -> Tunnel | None:
        """The tunnel that stands at a place."""
        return self._tunnels.get(place)

    def claim(
        self, place: Place, owner: Owner, session: Session, number: int, *, key: str, manner: Manner = Manner()
    ) -> Tunnel:
        """Bind a place that the claimant may have to a session. Raises Refused if an observer does."""
        tunnel = self._tunnels.get(place) or self._stand(place)
        tunnel.behave(manner)
        tunnel.servers.add(session, number, owner.client, self._random_text())
        for forgotten in self.reservations.take(place, owner.together if manner.share else owner, key):
            self._remove(forgotten)
        self.on_change()
        self._room.let_in(tunnel.place)
        self.log.info("claimed {name} by client {client}", name=tunnel.name, client=owner.client)
        return tunnel

    def change(self, tunnel: Tunnel, manner: Manner) -> Tunnel:
        """Other settings for what stands; requests that have begun keep those of before, and the connections with them.

        A port has none of these but its rules for visitors: its tunnel stays as it is.
        """
        index = self._index(tunnel.place)
        if tunnel.manner == manner:
            return tunnel
        if index is None:
            tunnel.manner = attrs.evolve(tunnel.manner, access=manner.access)
            tunnel.sentry.follow(manner.access)
            return tunnel
        changed = attrs.evolve(tunnel)
        changed.behave(manner)
        self._tunnels[tunnel.place] = index[tunnel.place.value] = changed
        self.log.info("changed {name}", name=changed.name)
        return changed

    def release(self, tunnel: Tunnel, server: Server) -> None:
        """Who served it does not want it any more; the place stays reserved for its return.

        A name that may be shared is not taken down: with the last one gone, visitors wait for the next.
        """
        tunnel.servers.remove(server)
        if not tunnel.servers:
            share = tunnel.manner.share
            self.reservations.leave(tunnel.place, self._now(), bound=share, last=server.client)
            if not share:
                self._remove(tunnel.place)
        self.on_change()
        self.log.info("released {name} by client {client}", name=tunnel.name, client=server.client)

    def away(self, session: Session, tunnels: list[Tunnel]) -> None:
        """The session that served these is over; where nobody else does, their visitors wait."""
        now = self._now()
        for tunnel in tunnels:
            gone = [server for server in tunnel.servers if server.session is session]
            for server in gone:
                tunnel.servers.remove(server)
            if gone and not tunnel.servers:
                self.reservations.leave(tunnel.place, now, bound=True, last=gone[-1].client)
        self.on_change()

    def unheard(self, session: Session, tunnels: list[Tunnel]) -> None:
        """The session that serves these has lost its link and waits for another; its visitors may turn to others."""
        for tunnel in tunnels:
            for server in tunnel.servers:
                if server.session is session:
                    server.unheard()

    def back(self, tunnels: list[Tunnel]) -> None:
        """The session that serves these has a link again."""
        for tunnel in tunnels:
            self._room.let_in(tunnel.place)

    def restore(self) -> None:
        """Put up the tunnels that stood when the reservations were written down; their owners are away."""
        for reservation in self.reservations:
            if reservation.bound and reservation.place not in self._tunnels:
                try:
                    self._stand(reservation.place)
                except Refused as error:
                    self.log.warn("{name} cannot stand again: {text}", name=reservation.place.value, text=error.text)

    def expire(self) -> None:
        """Take down what has been away for too long."""
        places = self.reservations.expire(self._now())
        for place in places:
            self._remove(place)
        if places:
            self.on_change()

    def _stand(self, place: Place) -> Tunnel:
        servers = Servers(self._now, self.limits)
        kind = kind_of(place)
        sentry = Sentry(self.guards, Post(kind, place.value))
        tunnel = Tunnel(kind, place.value, place, self._room, sentry, servers)
        for observer in self.observers:
            observer.claimed(tunnel)
        self._tunnels[place] = tunnel
        index = self._index(place)
        if index is not None:
            index[place.value] = tunnel
        return tunnel

    def _remove(self, place: Place) -> None:
        tunnel = self._tunnels.pop(place, None)
        if tunnel is None:
            return
        index = self._index(place)
        if index is not None:
            del index[place.value]
        tunnel.servers.clear()
        for observer in self.observers:
            observer.released(tunnel)
        self._room.send_away(place, UnknownTunnel("this name was given back"))

    def _index(self, place: Place) -> dict[str, Tunnel] | None:
        return {"name": self._names, "host": self._hosts, "tls": self._tls}.get(place.kind)
