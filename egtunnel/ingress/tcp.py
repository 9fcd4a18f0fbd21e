"""Public TCP ports: one listener for each TCP tunnel, whose connections are joined to the upstream byte by byte."""

from __future__ import annotations

import socket
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.eager import tune
from egtunnel.errors import EgtunnelError, Refused
from egtunnel.interfaces import ITunnel, Visitor, plain_address
from egtunnel.listening import listen
from egtunnel.splice import Half, serve

__all__ = ["TCPIngress", "TCPLimits"]


@attrs.frozen
class TCPLimits:
    """``connections``: of one port at once; ``in_all``: of all ports. ``backlog``: connections the kernel keeps for us.

    ``after``: seconds until a port that another program has is worth another try.
    """

    connections: int = 1000
    in_all: int = 10_000
    backlog: int = 1024
    after: float = 30.0


class TCPIngress(Service):
    """Opens the port of each TCP tunnel that is claimed and closes it when the tunnel is released.

    :param interface: the address to listen on; empty: all IPv4 addresses, ``::``: all addresses.
    :param inherited: sockets that listen already, by port; they are taken out of it.
    """

    name = "tcp ingress"
    log = Logger()

    def __init__(
        self,
        reactor: Any,
        interface: str,
        limits: TCPLimits | None = None,
        inherited: dict[int, socket.socket] | None = None,
    ) -> None:
        self.limits = limits or TCPLimits()
        self.connections = 0
        self._reactor = reactor
        self._interface = interface
        self._inherited = inherited if inherited is not None else {}
        self._doors: dict[str, TCPDoor] = {}

    def claimed(self, tunnel: ITunnel) -> None:
        """Listen for a tunnel; its name is the port. Raises Refused ``port-unavailable``."""
        if tunnel.kind != "tcp":
            return
        door = TCPDoor(self, tunnel)
        try:
            door.port = listen(
                self._reactor,
                int(tunnel.name),
                door,
                interface=self._interface,
                backlog=self.limits.backlog,
                inherited=self._inherited.pop(int(tunnel.name), None),
            )
        except CannotListenError:
            raise Refused(
                "port-unavailable",
                f"another program of the relay's machine has the TCP port {tunnel.name}",
                retry=True,
                after=self.limits.after,
            ) from None
        self._doors[tunnel.name] = door

    def released(self, tunnel: ITunnel) -> None:
        """Listen no more; the connections there are go on as long as their channels."""
        door = self._doors.pop(tunnel.name, None) if tunnel.kind == "tcp" else None
        if door is not None:
            door.close().addErrback(lambda reason: self.log.failure("a port did not close", reason))

    @property
    def ports(self) -> dict[int, IListeningPort]:
        """The ports of all tunnels, by number."""
        return {int(name): door.port for name, door in self._doors.items() if door.port is not None}

    def stop_listening(self) -> None:
        """Take no new connections; those there are go on."""
        for door in self._doors.values():
            door.close().addErrback(lambda reason: self.log.failure("a port did not close", reason))

    def stopService(self) -> Deferred[Any]:
        """Close every port and every connection."""
        super().stopService()
        doors, self._doors = list(self._doors.values()), {}
        for door in doors:
            door.abort()
        return DeferredList([door.close() for door in doors])


class TCPDoor(ServerFactory):
    """The listener of one tunnel."""

    noisy = False

    def __init__(self, ingress: TCPIngress, tunnel: ITunnel) -> None:
        self.ingress = ingress
        self.tunnel = tunnel
        self.port: IListeningPort | None = None
        self.guests: set[Guest] = set()

    def buildProtocol(self, addr: IAddress | None) -> Guest | None:
        """None, which closes the connection at once, when there are too many, or the tunnel's rules say so."""
        limits, guard, most = self.ingress.limits, self.tunnel.guard, self.tunnel.connections
        if len(self.guests) >= limits.connections or self.ingress.connections >= limits.in_all:
            return None
        if most is not None and len(self.guests) >= most:
            return None
        guest = Guest(self, addr)
        return guest if guard is None or guard.admits(guest.visitor) else None

    def close(self) -> Deferred[Any]:
        """Stop listening."""
        port, self.port = self.port, None
        return maybeDeferred(port.stopListening if port is not None else lambda: None)

    def abort(self) -> None:
        """End all connections."""
        for guest in list(self.guests):
            guest.transport.abortConnection()  # type: ignore[union-attr]


class Guest(Half):
    """A visitor's connection; ``visitor`` is who has it."""

    log = Logger()

    def __init__(self, door: TCPDoor, addr: Any) -> None:
        super().__init__()
        self._door = door
        self.visitor = Visitor("tcp", plain_address(addr.host), addr.port, door.tunnel.name)

    def connectionMade(self) -> None:
        transport: Any = self.transport
        tune(transport)
        self._door.guests.add(self)
        self._door.ingress.connections += 1
        serve(self, self.visitor, self._door.tunnel.dialer).addErrback(self._not_served)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._door.guests.discard(self)
        self._door.ingress.connections -= 1
        super().connectionLost(reason)

    def _not_served(self, reason: Failure) -> None:
        if not reason.check(EgtunnelError):
            self.log.failure("a visitor of port {port} was not served", reason, port=self._door.tunnel.name)
