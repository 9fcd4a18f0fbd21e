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
        self._limits = limits
        self._queues = Queues(limits)

    def opened(self, channel: ChannelTransport, host: str, port: int, failed: Callable[[str], None]) -> None:
        """A visitor for the service at a host and port.

        :param failed: takes what went wrong with the service, for a person.
        """
        found = self._addresses(host)
        found.addCallback(self._connect, channel, port, failed)
        found.addErrback(self._broken, channel)

    def _addresses(self, host: str) -> Deferred[list[str]]:
        if host == "localhost" or host.endswith(".localhost"):
            return succeed(["127.0.0.1"])
        try:
            return succeed([str(ip_address(host))])
        except ValueError:
            return addresses_of(self._reactor, host)

    def _connect(
        self, addresses: list[str], channel: ChannelTransport, port: int, failed: Callable[[str], None]
    ) -> None:
        if not addresses:
            failed("the host name was not found")
            channel.reset(UpstreamRefused("the host name was not found"))
            return
        try:
            udp = socket.socket(socket.AF_INET6 if ":" in addresses[0] else socket.AF_INET, socket.SOCK_DGRAM)
            udp.connect((addresses[0], port))
        except OSError as error:
            failed(_words(error))
            channel.reset(UpstreamRefused(_words(error)))
            return
        widen_buffers(udp, self._limits.buffer)
        service = DatagramSocket(
            self._reactor,
            udp,
            lambda came: flow.send([datagram for datagram, _ in came]),
            lambda error: failed(_words(error)),
        )
        flow = Flow(self._queues, service.send, lambda reason: service.stopListening())
        channel.connect_protocol(flow)
        channel.accept()
        service.startReading()

    def _broken(self, reason: Failure, channel: ChannelTransport) -> None:
        self.log.failure("a visitor of a UDP service was not served", reason)
        channel.reset(UpstreamRefused("a defect in egtunnel"))


def _words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
