"""Private tunnels of others, opened here: a local port whose connections the relay joins to another client."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList, fail, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.client.calm import Calm
from egtunnel.client.targets import Target
from egtunnel.eager import tune
from egtunnel.errors import ConfigurationError, EgtunnelError, LinkLost, UnknownTunnel
from egtunnel.interfaces import Visitor, plain_address
from egtunnel.session.endpoint import ChannelEndpoint
from egtunnel.session.session import Session
from egtunnel.splice import Half, serve

__all__ = ["Doors", "VisitLimits", "parse_listen", "visit_target"]

_LISTEN = re.compile(r"(?:(?P<host>[0-9a-zA-Z.-]+|\[[0-9a-fA-F:.]+\]):)?(?P<port>[0-9]{1,5})", re.ASCII)


@attrs.frozen
class VisitLimits:
    """``connections``: at one local port at once."""

    connections: int = 1000


@attrs.frozen
class Listen:
    """Where visitors of a private tunnel come in on this machine: a path, or an address and a port."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """``5432``, ``127.0.0.1:5432``, ``[::1]:5432`` or ``unix:/path``; raises ``ConfigurationError``."""
    if text.startswith("unix:/"):
        return Listen(path=text.removeprefix("unix:"))
    found = _LISTEN.fullmatch(text)
    port = int(found["port"]) if found else 0
    if found is None or not 0 < port < 65_536:
        raise ConfigurationError(f"--listen {text[:80]}: write it as 127.0.0.1:5432, [::1]:5432, 5432 or unix:/path")
    host = (found["host"] or "127.0.0.1").strip("[]")
    return Listen("127.0.0.1" if host == "localhost" else host, port)


@implementer(IStreamClientEndpoint)
class Nowhere:
    """Who visits offers nothing: the relay has no business here."""

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails."""
        return fail(UnknownTunnel("this client visits there, and offers nothing"))


def visit_target(name: str, listen: Listen) -> Target:
    """What stands in an offer where there is a visit."""
    return Target(str(listen), f"visit {name} {listen}", "http", lambda reactor: Nowhere())


class Doors:
    """The local ports of all visits.

    :param session: the session there is; None: there is none.
    :param number: under which number the relay lets us visit a name; None: it does not at the moment.
    :param say: takes one line for a person.
    """

    def __init__(
        self,
        reactor: Any,
        session: Callable[[], Session | None],
        number: Callable[[str], int | None],
        say: Callable[[str], None],
        limits: VisitLimits,
    ) -> None:
        self.reactor = reactor
        self.session = session
        self.number = number
        self.say = say
        self.limits = limits
        self._open: dict[tuple[str, str], tuple[Door, IListeningPort]] = {}

    def open(self, name: str, listen: Listen) -> None:
        """Listen for visitors of a private tunnel, unless we do. Raises ConfigurationError."""
        if (name, str(listen)) in self._open:
            return
        door = Door(self, name)
        try:
            if listen.path:
                port = self.reactor.listenUNIX(listen.path, door, mode=0o600, wantPID=True)
            else:
                port = self.reactor.listenTCP(listen.port, door, interface=listen.host)
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            raise ConfigurationError(f"cannot listen on {listen}: {reason}") from None
        self._open[name, str(listen)] = door, port

    def close(self) -> Deferred[Any]:
        """Listen no more; connections end with their channels."""
        doors, self._open = self._open, {}
        return DeferredList([maybeDeferred(port.stopListening) for _, port in doors.values()])


class Door(ServerFactory):
    """One local port."""

    noisy = False

    def __init__(self, doors: Doors, name: str) -> None:
        self.doors = doors
        self.name = name
        self.guests = 0
        self.calm = Calm(doors.say, doors.reactor)

    def buildProtocol(self, addr: IAddress | None) -> Guest | None:
        """None, which closes the connection at once, when there are too many."""
        return None if self.guests >= self.doors.limits.connections else Guest(self, addr)

    def dialer(self, visitor: Visitor) -> IStreamClientEndpoint:
        """To the private tunnel."""
        number, session = self.doors.number(self.name), self.doors.session()

        def least_busy() -> Session | None:
            return None if number is None or session is None else session.least_busy()

        return ChannelEndpoint(least_busy, {"tunnel": number, "kind": "visit", "name": self.name})


class Guest(Half):
    """A local connection."""

    def __init__(self, door: Door, addr: Any) -> None:
        super().__init__()
        self._door = door
        host = plain_address(str(getattr(addr, "host", "")))
        self._visitor = Visitor("visit", host, int(getattr(addr, "port", 0) or 0), door.name)

    def connectionMade(self) -> None:
        """Ask the relay for a channel."""
        tune(self.transport)
        self._door.guests += 1
        serve(self, self._visitor, self._door.dialer).addErrback(lambda reason: reason.trap(EgtunnelError))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._door.guests -= 1
        super().connectionLost(reason)

    def break_off(self, error: EgtunnelError) -> None:
        """Say why, now and then, and end."""
        why = "the relay does not let us visit it now" if type(error) is LinkLost and not error.args else error.text
        self._door.calm.tell(f"visiting {self._door.name}: {why}")
        super().break_off(error)
