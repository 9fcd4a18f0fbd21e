"""Visitors of UDP tunnels: each channel has a socket of its own towards the local service."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.client.resolving import addresses_of
from egtunnel.datagrams import DatagramLimits, DatagramSocket, Flow, Queues, widen_buffers
from egtunnel.errors import UpstreamRefused
from egtunnel.session.transport import ChannelTransport

__all__ = ["UDPVisitors"]


class UDPVisitors:
    """Joins channels to a UDP service."""

    log = Logger()

    def __init__(self, reactor: Any, limits: DatagramLimits) -> None:
        self._reactor = reactor
        self._queues = Queues(limits)

    def opened(self, channel: ChannelTransport, host: str, port: int, failed: Callable[[str], None]) -> None:
        """A visitor for the service at a host and port.

        :param failed: takes what went wrong with the service, for a person.
        """
        visit = Visit(self._reactor, self._queues, channel, failed)
        self._addresses(host).addCallback(visit.reach, port).addErrback(self._broken, channel)

    def _addresses(self, host: str) -> Deferred[list[str]]:
        if host == "localhost" or host.endswith(".localhost"):
            return succeed(["127.0.0.1"])
        try:
            return succeed([str(ip_address(host))])
        except ValueError:
            return addresses_of(self._reactor, host)

    def _broken(self, reason: Failure, channel: ChannelTransport) -> None:
        self.log.failure("a visitor of a UDP service was not served", reason)
        channel.reset(UpstreamRefused("a defect in egtunnel"))


class Visit:
    """One visitor: a channel, and a socket once it is known where the service is."""

    def __init__(self, reactor: Any, queues: Queues, channel: ChannelTransport, failed: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._limits = queues.limits
        self._channel = channel
        self._failed = failed
        self._over = False
        self._service: DatagramSocket | None = None
        self._flow = Flow(queues, self._from_visitor, self._lost)
        channel.pauseProducing()
        channel.connect_protocol(self._flow)

    def reach(self, addresses: list[str], port: int) -> None:
        """The service is there, or nowhere."""
        if self._over:
            return
        if not addresses:
            self._refuse("the host name was not found")
            return
        try:
            udp = socket.socket(socket.AF_INET6 if ":" in addresses[0] else socket.AF_INET, socket.SOCK_DGRAM)
            udp.connect((addresses[0], port))
        except OSError as error:
            self._refuse(_words(error))
            return
        widen_buffers(udp, self._limits.buffer)
        self._service = DatagramSocket(
            self._reactor, udp, self._from_service, lambda error: self._failed(_words(error))
        )
        self._service.startReading()
        self._channel.accept()
        self._channel.resumeProducing()

    def _refuse(self, words: str) -> None:
        self._failed(words)
        self._channel.reset(UpstreamRefused(words))

    def _from_service(self, found: list[tuple[bytes, Any]]) -> None:
        self._flow.send([datagram for datagram, _ in found])

    def _from_visitor(self, datagrams: list[bytes]) -> None:
        if self._service is not None:
            self._service.send(datagrams)

    def _lost(self, reason: Failure) -> None:
        self._over = True
        if self._service is not None:
            self._service.stopListening()


def _words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
