"""The relay's own ports: all of them or none."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from egtunnel.errors import ConfigurationError
from egtunnel.listening import listen

__all__ = ["Listeners"]

EVERYWHERE = ("", "::", "0.0.0.0")


class Listeners:
    """Every port of one interface on which the same factory listens.

    :param backlog: connections that the kernel keeps until they are accepted.
    :param inherited: sockets that listen already, by port; they are taken out of it.
    """

    def __init__(
        self, reactor: Any, ports: Sequence[int], interface: str, backlog: int, inherited: dict[int, socket.socket]
    ) -> None:
        self._reactor = reactor
        self._ports = ports
        self._interface = interface
        self._backlog = backlog
        self._inherited = inherited
        self.open: dict[int, IListeningPort] = {}

    def listen(self, factory: IProtocolFactory) -> None:
        """Open them, unless they are open. Raises ConfigurationError."""
        if self.open:
            return
        for port in self._ports:
            try:
                self.open[port] = listen(
                    self._reactor,
                    port,
                    factory,
                    interface=self._interface,
                    backlog=self._backlog,
                    inherited=self._inherited.pop(port, None),
                )
            except CannotListenError as error:
                reason = getattr(error.socketError, "strerror", None) or error.socketError
                raise ConfigurationError(f"cannot listen on {self._place([port])}: {reason}") from None

    def close(self) -> Deferred[Any]:
        """Close those that are open."""
        ports, self.open = self.open, {}
        return DeferredList([maybeDeferred(port.stopListening) for port in ports.values()])

    def where(self) -> str:
        """The ports and their address, for a person."""
        return self._place(self._ports)

    def _place(self, ports: Sequence[int]) -> str:
        numbers = " and ".join(map(str, ports))
        interface = self._interface
        if interface in EVERYWHERE:
            return f"port{'s' if len(ports) > 1 else ''} {numbers} of all addresses"
        return f"[{interface}]:{numbers}" if ":" in interface else f"{interface}:{numbers}"
