"""The table of public names: which tunnel stands where, whose it is, and how its visitors reach it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from egtunnel.errors import LinkLost, Refused, UnknownTunnel
from egtunnel.interfaces import ITunnel, ITunnels, Visitor
from egtunnel.policy import HeaderPolicy
from egtunnel.relay.names import canonical
from egtunnel.relay.reservations import Owner, Place, Reservations
from egtunnel.relay.servers import Server, Servers
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.session.endpoint import ChannelEndpoint
from egtunnel.session.session import Session

__all__ = ["Observer", "Tunnel", "TunnelEndpoint", "TunnelTable"]


@implementer(ITunnel)
@attrs.define(eq=False)
class Tunnel:
    """A public name and its ``servers``: one as a rule, none while its owner is away."""

    kind: str
    name: str
    place: Place
    owner: Owner
    room: WaitingRoom = attrs.field(repr=False)
    host_header: str = ""
    scheme: str = "http"
    protocol: str = "http/1.1"
    policy: HeaderPolicy | None = None
    servers: Servers = attrs.field(factory=Servers, repr=False)

    def dialer(self, visitor: Visitor) -> IStreamClientEndpoint:
        """The endpoint that opens a channel to the upstream for this visitor."""
        return TunnelEndpoint(self, visitor)


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """Opens a channel to whoever serves the tunnel at that moment; waits for somebody while its owner is away."""

    __slots__ = ("_tunnel", "_visitor")

    def __init__(self, tunnel: Tunnel, visitor: Visitor) -> None:
        self._tunnel = tunnel
        self._visitor = visitor

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails with ClientAway, LinkLost or TooManyChannels."""
        server = self._tunnel.servers.choose()
        if server is not None:
            return self._open(server, protocolFactory)
        waiting: Deferred[Any] = self._tunnel.room.wait(self._tunnel)
        return waiting.addCallback(lambda _: self._open(self._tunnel.servers.choose(), protocolFactory))

    def _open(self, server: Server | None, factory: IProtocolFactory) -> Deferred[IProtocol]:
        if server is None:
            return fail(LinkLost())
        return ChannelEndpoint(lambda: server.session, opening(server, self._visitor)).connect(factory)


def opening(server: Server, visitor: Visitor) -> dict[str, Any]:
    """What the client is told of a visitor (docs/protocol.md, "Channels")."""
    return {
        "tunnel": server.number,
        "kind": visitor.kind,
        "host": visitor.host,
        "port": visitor.port,
        "name": visitor.name,
    }


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
    whenever there is something new to remember.
    """

    log = Logger()

    def __init__(
        self,
        reservations: Reservations,
        room: WaitingRoom,
        now: Callable[[], float],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.reservations = reservations
        self.observers: list[Observer] = []
        self.on_change = on_change
        self._room = room
        self._now = now
        self._tunnels: dict[Place, Tunnel] = {}
        self._names: dict[str, Tunnel] = {}
        self._hosts: dict[str, Tunnel] = {}

    # -- ITunnels

    def by_name(self, name: str) -> ITunnel | None:
        """The HTTP tunnel of that name below the relay's domain."""
        return self._names.get(canonical(name))

    def by_host(self, host: str) -> ITunnel | None:
        """The HTTP tunnel with that custom host name."""
        return self._hosts.get(canonical(host))

    # -- for claims and admission

    def at(self, place: Place) -> Tunnel | None:
        """The tunnel that stands at a place."""
        return self._tunnels.get(place)

    def claim(
        self,
        place: Place,
        owner: Owner,
        session: Session,
        number: int,
        *,
        key: str,
        host_header: str = "",
        protocol: str = "http/1.1",
        policy: HeaderPolicy | None = None,
    ) -> Tunnel:
        """Bind a place that was found free, or the owner's own, to a session. Raises Refused if an observer does."""
        tunnel = self._tunnels.get(place) or self._stand(place, owner)
        tunnel.host_header, tunnel.protocol, tunnel.policy = host_header, protocol, policy
        tunnel.servers.add(Server(session, number, owner.client))
        for forgotten in self.reservations.take(place, owner, key):
            self._remove(forgotten)
        self.on_change()
        self._room.let_in(tunnel)
        self.log.info("claimed {name} by client {client}", name=tunnel.name, client=owner.client)
        return tunnel

    def release(self, tunnel: Tunnel) -> None:
        """The owner does not want it any more; the place stays reserved for its return."""
        self.reservations.leave(tunnel.place, self._now(), bound=False)
        self._remove(tunnel.place)
        self.on_change()
        self.log.info("released {name} by client {client}", name=tunnel.name, client=tunnel.owner.client)

    def away(self, session: Session, tunnels: list[Tunnel]) -> None:
        """The session that served these is over; their visitors wait."""
        now = self._now()
        for tunnel in tunnels:
            served = len(tunnel.servers)
            for server in tunnel.servers:
                if server.session is session:
                    tunnel.servers.remove(server)
            if served and not tunnel.servers:
                self.reservations.leave(tunnel.place, now, bound=True)
        self.on_change()

    def back(self, tunnels: list[Tunnel]) -> None:
        """The session that serves these has a link again."""
        for tunnel in tunnels:
            self._room.let_in(tunnel)

    def restore(self) -> None:
        """Put up the tunnels that stood when the reservations were written down; their owners are away."""
        for reservation in self.reservations:
            if reservation.bound and reservation.place not in self._tunnels:
                try:
                    self._stand(reservation.place, reservation.owner)
                except Refused as error:
                    self.log.warn("{name} cannot stand again: {text}", name=reservation.place.value, text=error.text)

    def expire(self) -> None:
        """Take down what has been away for too long."""
        places = self.reservations.expire(self._now())
        for place in places:
            self._remove(place)
        if places:
            self.on_change()

    def _stand(self, place: Place, owner: Owner) -> Tunnel:
        tunnel = Tunnel("tcp" if place.kind == "port" else "http", place.value, place, owner, self._room)
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
        self._room.send_away(tunnel, UnknownTunnel("this name was given back"))

    def _index(self, place: Place) -> dict[str, Tunnel] | None:
        return {"name": self._names, "host": self._hosts}.get(place.kind)
