"""Public UDP ports: a socket for each UDP tunnel, and a channel for each visitor that sends there."""

from __future__ import annotations

import socket
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.datagrams import DatagramLimits, DatagramSocket, Flow, Queues, widen_buffers
from egtunnel.errors import EgtunnelError, Refused
from egtunnel.interfaces import ITunnel, Visitor, plain_address

__all__ = ["UDPDoor", "UDPIngress", "UDPLimits", "bound"]

QUIET = 60.0
"""Seconds between two warnings that datagrams were dropped."""


@attrs.frozen
class UDPLimits:
    """``flows``: visitors of one port at once, ``in_all``: of all ports. ``idle``: seconds without a datagram in either
    direction after which one is forgotten. ``rest``: seconds until one who could not be served is tried again.
    ``after``: seconds until a port that another program has is worth another try.
    """

    flows: int = 1000
    in_all: int = 10_000
    idle: float = 60.0
    rest: float = 1.0
    after: float = 30.0
    datagrams: DatagramLimits = attrs.field(factory=DatagramLimits)


def bound(interface: str, port: int) -> socket.socket:
    """A UDP socket at a port; ``interface`` empty: all IPv4 addresses, ``::``: all addresses. Raises OSError."""
    udp = socket.socket(socket.AF_INET6 if ":" in interface else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if interface == "::":
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.bind((interface or "0.0.0.0", port))
    except OSError:
        udp.close()
        raise
    return udp


class UDPIngress(Service):
    """Opens the port of each UDP tunnel that is claimed and closes it when the tunnel is released.

    :param inherited: sockets that are bound already, by port; they are taken out of it.
    """

    name = "udp ingress"
    log = Logger()

    def __init__(
        self,
        reactor: Any,
        interface: str,
        limits: UDPLimits | None = None,
        inherited: dict[int, socket.socket] | None = None,
    ) -> None:
        self.limits = limits or UDPLimits()
        self.reactor = reactor
        self.queues = Queues(self.limits.datagrams)
        self.visitors = 0
        self._interface = interface
        self._inherited = inherited if inherited is not None else {}
        self._doors: dict[str, UDPDoor] = {}
        self._sweep = LoopingCall(self._look)
        self._sweep.clock = reactor
        self._told, self._warned = 0, -QUIET

    def claimed(self, tunnel: ITunnel) -> None:
        """Open the port of a tunnel; its name is the port. Raises Refused ``port-unavailable``."""
        if tunnel.kind != "udp":
            return
        port = int(tunnel.name)
        try:
            udp = self._inherited.pop(port, None) or bound(self._interface, port)
        except OSError:
            raise Refused(
                "port-unavailable",
                f"another program of the relay's machine has the UDP port {tunnel.name}",
                retry=True,
                after=self.limits.after,
            ) from None
        widen_buffers(udp, self.limits.datagrams.buffer)
        self._doors[tunnel.name] = door = UDPDoor(self, tunnel, udp)
        self._begin(door)
        if not self._sweep.running:
            self._sweep.start(max(0.05, self.limits.idle / 4), now=False)

    def _begin(self, door: UDPDoor) -> None:
        door.port.startReading()

    def released(self, tunnel: ITunnel) -> None:
        """Listen no more, and forget its visitors."""
        door = self._doors.pop(tunnel.name, None) if tunnel.kind == "udp" else None
        if door is not None:
            door.close()

    @property
    def ports(self) -> dict[int, DatagramSocket]:
        """The ports of all tunnels, by number."""
        return {int(name): door.port for name, door in self._doors.items()}

    def stop_listening(self) -> None:
        """Take and send nothing more."""
        if self._sweep.running:
            self._sweep.stop()
        doors, self._doors = self._doors, {}
        for door in doors.values():
            door.close()

    def stopService(self) -> Deferred[Any] | None:
        """Close every port."""
        super().stopService()
        self.stop_listening()
        return None

    def _look(self) -> None:
        """Forget who is idle; say what was dropped."""
        now = self.reactor.seconds()
        for door in self._doors.values():
            door.forget_idle(now - self.limits.idle)
        dropped = self.queues.dropped + sum(door.port.dropped for door in self._doors.values())
        if dropped > self._told and now - self._warned >= QUIET:
            self.log.warn("dropped {count} datagrams that found no room", count=dropped - self._told)
            self._told, self._warned = dropped, now


class UDPDoor:
    """The socket of one tunnel, and who is there."""

    log = Logger()

    def __init__(self, ingress: UDPIngress, tunnel: ITunnel, udp: socket.socket) -> None:
        self.ingress = ingress
        self.tunnel = tunnel
        self.port = DatagramSocket(ingress.reactor, udp, self._received)
        self.guests: dict[Any, Guest] = {}
        self.unanswered: dict[Any, None] = {}

    def close(self) -> None:
        """It is over."""
        self.port.stopListening()
        for guest in list(self.guests.values()):
            guest.end()

    def forget_idle(self, since: float) -> None:
        """End those of whom nothing was heard since then."""
        for guest in [guest for guest in self.guests.values() if guest.last < since]:
            guest.end()

    def forget(self, guest: Guest) -> None:
        """It is over."""
        if self.guests.pop(guest.address, None) is not None:
            self.ingress.visitors -= 1
        self.unanswered.pop(guest.address, None)

    def _received(self, found: list[tuple[bytes, Any]]) -> None:
        now = self.ingress.reactor.seconds()
        came: dict[Any, list[bytes]] = {}
        for datagram, address in found:
            if address in came:
                came[address].append(datagram)
            else:
                came[address] = [datagram]
        for address, datagrams in came.items():
            guest = self.guests.get(address) or self._let_in(address)
            if guest is not None:
                guest.came(datagrams, now)

    def _let_in(self, address: Any) -> Guest | None:
        """A new visitor; None: there is no room, or the tunnel's rules say so.

        Where there is none, one makes room who never had an answer: addresses of datagrams are easily made up.
        """
        ingress, guard, most = self.ingress, self.tunnel.guard, self.tunnel.connections
        room = ingress.limits.flows if most is None else min(most, ingress.limits.flows)
        if len(self.guests) >= room or ingress.visitors >= ingress.limits.in_all:
            stranger = next(iter(self.unanswered), None)
            if stranger is None:
                return None
            self.guests[stranger].end()
        guest = Guest(self, address)
        if guard is not None and not guard.admits(guest.visitor):
            return None
        self.guests[address] = guest
        self.unanswered[address] = None
        ingress.visitors += 1
        guest.dial()
        return guest


class Guest:
    """One visitor: an address that sends to the port, and its channel. ``last``: when anything came or went."""

    __slots__ = ("_dialing", "_flow", "_resting", "address", "door", "last", "visitor")

    def __init__(self, door: UDPDoor, address: Any) -> None:
        self.door = door
        self.address = address
        self.visitor = Visitor("udp", plain_address(address[0]), address[1], door.tunnel.name)
        self.last = door.ingress.reactor.seconds()
        self._resting = 0.0
        self._dialing: Deferred[Any] | None = None
        self._flow = self._new_flow()

    def came(self, datagrams: list[bytes], now: float) -> None:
        """From the visitor."""
        self.last = now
        if self._resting:
            if now < self._resting:
                self.door.ingress.queues.dropped += len(datagrams)
                return
            self._resting = 0.0
            self._flow = self._new_flow()
            self.dial()
        self._flow.send(datagrams)

    def dial(self) -> None:
        """Have a channel opened."""
        flow = self._flow
        factory = Factory.forProtocol(lambda: flow)
        factory.noisy = False
        self._dialing = self.door.tunnel.dialer(self.visitor).connect(factory)
        self._dialing.addCallbacks(self._connected, self._failed)

    def end(self) -> None:
        """Forget it."""
        self.door.forget(self)
        dialing, self._dialing = self._dialing, None
        if dialing is not None:
            dialing.cancel()
        self._flow.close()

    def _new_flow(self) -> Flow:
        return Flow(self.door.ingress.queues, self._answered, self._lost)

    def _answered(self, datagrams: list[bytes]) -> None:
        self.last = self.door.ingress.reactor.seconds()
        self.door.unanswered.pop(self.address, None)
        self.door.port.send(datagrams, self.address)

    def _connected(self, _: Any) -> None:
        self._dialing = None

    def _failed(self, reason: Failure) -> None:
        self._dialing = None
        self._lost(reason)
        self._flow.close()
        if not reason.check(EgtunnelError, CancelledError):
            self.door.log.failure("a visitor of UDP port {port} was not served", reason, port=self.door.tunnel.name)

    def _lost(self, _: Failure) -> None:
        """The channel is over; the visitor may come again, but not at once."""
        self._resting = self.door.ingress.reactor.seconds() + self.door.ingress.limits.rest
