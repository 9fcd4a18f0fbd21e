"""How a visitor reaches a tunnel: by a channel to who serves it, or one of several; waiting while nobody is there."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.errors import ChannelClosed, EgtunnelError, LinkLost
from egtunnel.guard import RulesChanged
from egtunnel.interfaces import IRoute, Visitor
from egtunnel.relay.guards import Sentry
from egtunnel.relay.servers import Opening, Server, Servers
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.session.endpoint import ChannelEndpoint
from egtunnel.session.transport import ChannelTransport

__all__ = ["SharedRoute", "SingleRoute"]


@implementer(IRoute)
class SingleRoute:
    """To a tunnel that one client serves. ``connect`` fires before the far side has accepted."""

    __slots__ = ("_guard", "_place", "_room", "_sentry", "_servers", "_visitor")

    server = None
    elsewhere = False

    def __init__(self, place: object, servers: Servers, room: WaitingRoom, visitor: Visitor, sentry: Sentry) -> None:
        self._sentry = sentry
        self._guard = sentry.guard
        self._place = place
        self._servers = servers
        self._room = room
        self._visitor = visitor

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails with ClientAway, LinkLost, TooManyChannels, or RulesChanged after it had to wait."""
        server = self._servers.first()
        if server is not None:
            return self._open(server, protocolFactory)
        waiting: Deferred[Any] = self._room.wait(self._place)
        return waiting.addCallback(lambda _: self._let_in(protocolFactory))

    def _let_in(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        if not self._sentry.lets_on(self._visitor, self._guard):
            return fail(RulesChanged())
        return self._open(self._servers.first(), factory)

    def _open(self, server: Server | None, factory: IProtocolFactory) -> Deferred[IProtocol]:
        if server is None:
            return fail(LinkLost())
        return ChannelEndpoint(server.session.least_busy, told(server, self._visitor)).connect(factory)


@implementer(IRoute)
class SharedRoute:
    """To a tunnel that several clients may serve. ``server``: who is to serve this visitor, None: nobody is there.

    Each ``connect`` is to a server that was not tried before, if there is one.
    """

    __slots__ = ("_guard", "_sentry", "_sticky", "_tried", "place", "room", "server", "servers", "visitor")

    def __init__(
        self, place: object, servers: Servers, room: WaitingRoom, visitor: Visitor, sticky: str, sentry: Sentry
    ) -> None:
        self._sentry = sentry
        self._guard = sentry.guard
        self.place = place
        self.servers = servers
        self.room = room
        self.visitor = visitor
        self._sticky = sticky
        self._tried: list[Server] = []
        self.server = servers.choose(visitor, sticky)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails with ClientAway, after a wait with RulesChanged, or with what the last server that was tried said."""
        dial = Dial(self, protocolFactory)
        dial.go()
        return dial.result

    def following(self) -> Server | None:
        """The server to try next; None: nobody is there."""
        server = self.server
        if server is None or server.gone or not server.online or server in self._tried:
            choose, visitor, sticky = self.servers.choose, self.visitor, self._sticky
            server = choose(visitor, sticky, self._tried) or choose(visitor, sticky)
        self.server = server
        if server is not None:
            self._tried.append(server)
        return server

    def lets_on(self) -> bool:
        """Whether the rules are still those that let the visitor in."""
        return self._sentry.lets_on(self.visitor, self._guard)

    @property
    def elsewhere(self) -> bool:
        """Whether there is one more to try."""
        return self.servers.others(self._tried)


class Dial:
    """One visitor on its way to a server that takes it.

    While there is another server to turn to, the visitor waits for the channel to be accepted: nothing of what it says
    is lost if it is not. The last one to be tried gets it at once.
    """

    __slots__ = ("_factory", "_late", "_left", "_opening", "_route", "_waiting", "result")

    def __init__(self, route: SharedRoute, factory: IProtocolFactory) -> None:
        self.result: Deferred[IProtocol] = Deferred(self._cancelled)
        self._route = route
        self._factory = factory
        self._left = route.servers.limits.tries
        self._opening: Opening | None = None
        self._late: IDelayedCall | None = None
        self._waiting: Deferred[None] | None = None

    def go(self) -> None:
        """Try the next server, or wait for one."""
        server = self._route.following()
        if server is not None:
            self._try(server)
            return
        waiting = self._route.room.wait(self._route.place)
        self._waiting = waiting
        waiting.addCallbacks(self._let_in, self._fail)

    def _let_in(self, _: None) -> None:
        self._waiting = None
        if not self._route.lets_on():
            self._fail(Failure(RulesChanged()))
            return
        server = self._route.following()
        if server is None:
            self._fail(Failure(LinkLost()))
        else:
            self._try(server)

    def _try(self, server: Server) -> None:
        self._left -= 1
        patient = self._left > 0 and self._route.elsewhere
        try:
            opening = server.open(told(server, self._route.visitor), self if patient else None)
        except EgtunnelError as error:
            self.missed(error)
            return
        if patient:
            self._opening = opening
            self._be_patient(server)
        else:
            self._connect(opening.channel)

    def _connect(self, channel: ChannelTransport) -> None:
        protocol = self._factory.buildProtocol(channel.getPeer())
        if protocol is None:
            channel.abortConnection()
            self._fail(Failure(LinkLost("nobody wanted the channel")))
            return
        channel.connect_protocol(protocol)
        self.result.callback(protocol)

    # -- Dialing

    def accepted(self, channel: ChannelTransport) -> None:
        """The service has taken the visitor."""
        self._answered()
        self._connect(channel)

    def missed(self, error: EgtunnelError) -> None:
        """It has not: try another one, if there is one."""
        self._answered()
        if self._left > 0 and self._route.elsewhere:
            self.go()
        else:
            self._fail(Failure(error))

    def unheard(self) -> None:
        """The server has lost its link before it answered; it may come back, but another one is there now."""
        if self._route.elsewhere:
            self._drop()
            self.go()

    # --

    def _fail(self, reason: Failure) -> None:
        self._waiting = None
        if not self.result.called:
            self.result.errback(reason)

    def _cancelled(self, _: Deferred[IProtocol]) -> None:
        self._drop()
        if self._waiting is not None:
            self._waiting.cancel()

    def _be_patient(self, server: Server) -> None:
        patience = self._route.servers.limits.patience
        self._late = self._route.room.clock.callLater(patience, self._too_late, server)

    def _too_late(self, server: Server) -> None:
        """Nothing is heard of it; a client whose machine stands still keeps its link for a while."""
        if self._route.elsewhere:
            server.failed()
            self._drop()
            self.go()
        else:
            self._be_patient(server)

    def _answered(self) -> Opening | None:
        """Wait for this server no more."""
        opening, self._opening = self._opening, None
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()
        return opening

    def _drop(self) -> None:
        opening = self._answered()
        if opening is not None:
            opening.dialing = None
            opening.channel.reset(ChannelClosed())


def told(server: Server, visitor: Visitor) -> dict[str, Any]:
    """What the client is told of a visitor (docs/protocol.md, "Channels")."""
    return {
        "tunnel": server.number,
        "kind": visitor.kind,
        "host": visitor.host,
        "port": visitor.port,
        "name": visitor.name,
    }
