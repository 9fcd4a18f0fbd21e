"""The API as a tunnel that the relay itself serves: the ingress reaches it by a UNIX socket, from every worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger
from zope.interface import implementer

from egtunnel.admin.authority import Authority, admin_token
from egtunnel.admin.desk import Desk
from egtunnel.admin.events import Events
from egtunnel.admin.server import ApiServer, socket_path
from egtunnel.interfaces import IRoute, IServer, ITunnel, Visitor
from egtunnel.relay.live import Live
from egtunnel.relay.settings import RelaySettings
from egtunnel.relay.tunnels import Tunnel
from egtunnel.store.store import Store

__all__ = ["Api", "api_tunnel"]


@implementer(IRoute)
class _Route:
    """The way to the socket."""

    server: IServer | None = None
    elsewhere = False

    def __init__(self, reactor: Any, path: str) -> None:
        self._endpoint = UNIXClientEndpoint(reactor, path, timeout=5)

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """Connect."""
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting


@implementer(ITunnel)
class _ApiTunnel:
    """Stands at ``/api/`` of the relay's own host."""

    kind, name, host_header, scheme = "http", "api", "", "http"
    protocol, policy, sticky, guard, connections = "http/1.1", None, "", None, None
    dedicated = False

    def __init__(self, reactor: Any, folder: Path) -> None:
        self._reactor = reactor
        self._folder = folder
        self._path = ""

    def dialer(self, visitor: Visitor) -> IRoute:
        """The same way for everybody."""
        self._path = self._path or socket_path(self._folder)
        return _Route(self._reactor, self._path)


def api_tunnel(reactor: Any, settings: RelaySettings) -> ITunnel | None:
    """What an ingress passes requests for the API on to; None: it is not wanted."""
    return _ApiTunnel(reactor, settings.state) if settings.api else None


class Api:
    """The API of one relay, from its token to its socket; its ``events`` are told of everything.

    As an observer of the table it hears of tunnels.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: RelaySettings,
        store: Store | None,
        live: Live,
        wall: Callable[[], float] = time.time,
    ) -> None:
        limits = settings.limits.api
        self.events = Events(reactor, wall, limits)
        self._reactor = reactor
        self._settings = settings
        self._desk = Desk(store, live, self.events, limits, wall)
        self._server: ApiServer | None = None

    def open(self) -> None:
        """Listen, if it is wanted. Raises ConfigurationError."""
        if self._settings.api:
            token = admin_token(self._settings.state)
            authority = Authority(token, self._reactor.seconds)
            self._server = ApiServer(self._reactor, self._settings.state, self._desk, authority)
            self._server.listen()

    def close(self) -> None:
        """Listen no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    # -- what happens

    def claimed(self, tunnel: Tunnel) -> None:
        """A tunnel stands."""
        self.events.tell("claimed", kind=tunnel.kind, name=tunnel.name)

    def released(self, tunnel: Tunnel) -> None:
        """It does not stand any more."""
        self.events.tell("released", kind=tunnel.kind, name=tunnel.name)

    def tell(self, what: str, words: dict[str, Any]) -> None:
        """Anything else."""
        self.events.tell(what, **words)
