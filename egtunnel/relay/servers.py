"""Who serves a tunnel: sessions of clients, each under the number that the client has given it, and who is next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from hashlib import blake2b
from typing import Any, Protocol

from zope.interface import implementer

from egtunnel.errors import EgtunnelError, LinkLost, UnknownTunnel, UpstreamBroke, UpstreamRefused, UpstreamSlow
from egtunnel.interfaces import IMovable, IServer, Visitor, subscriber
from egtunnel.relay.health import Health, ServerLimits
from egtunnel.session.transport import ChannelTransport

__all__ = ["Dialing", "Opening", "Server", "Servers", "Serving"]

FAULTS = (LinkLost, UnknownTunnel, UpstreamBroke, UpstreamRefused, UpstreamSlow)
"""What says something of a server when it comes before the channel was accepted."""


class Serving(Protocol):
    """A session, ours or another worker's: channels can be opened at it."""

    @property
    def online(self) -> bool:
        """Whether that could be done now."""

    def least_busy(self) -> Serving:
        """The session or the companion where the next channel is to be opened."""

    def open(self, metadata: dict[str, Any]) -> ChannelTransport:
        """Open one. Raises TooManyChannels, or LinkLost when the session is over."""


class Dialing(Protocol):
    """A visitor who waits for a server to accept its channel."""

    def accepted(self, channel: ChannelTransport) -> None:
        """The channel is there."""

    def missed(self, error: EgtunnelError) -> None:
        """It will not be."""

    def unheard(self) -> None:
        """The server has no link at the moment."""


class Opening:
    """A channel to a server, from its opening to its end: where the server's load and health come from."""

    __slots__ = ("_accepted", "_error", "_server", "channel", "dialing")

    def __init__(self, server: Server, channel: ChannelTransport, dialing: Dialing | None) -> None:
        self.channel = channel
        self.dialing = dialing
        self._server = server
        self._accepted = False
        self._error: EgtunnelError | None = None

    def channel_accepted(self) -> None:
        """The service has taken the visitor."""
        self._accepted = True
        self._server.health.succeeded()
        dialing, self.dialing = self.dialing, None
        if dialing is not None:
            dialing.accepted(self.channel)

    def channel_reset(self, error: EgtunnelError) -> None:
        """The far side, or the end of the session, has ended it."""
        self._error = error
        if self._accepted:
            return
        if isinstance(error, FAULTS):
            self._server.failed()
        else:
            self._server.health.gave_up()

    def channel_over(self) -> None:
        """It is over, for whatever reason."""
        self._server.openings.discard(self)
        if not self._accepted and self._error is None:
            self._server.health.gave_up()
        dialing, self.dialing = self.dialing, None
        if dialing is not None:
            dialing.missed(self._error or LinkLost())


@implementer(IServer)
class Server:
    """A session that serves a tunnel, under the client's ``number``; ``client`` is its id.

    ``id``: what visitors may know it by. ``openings``: the channels of this tunnel; those that ``keep`` has named do
    nothing at the moment. ``gone``: it gets no more visitors. ``used``: its last turn.
    """

    __slots__ = ("_idle", "_now", "client", "gone", "health", "id", "number", "openings", "session", "used")

    def __init__(
        self,
        session: Serving,
        number: int,
        client: str,
        id: str = "",
        now: Callable[[], float] = lambda: 0.0,
        limits: ServerLimits | None = None,
    ) -> None:
        self.session = session
        self.number = number
        self.client = client
        self.id = id
        self.health = Health(limits or ServerLimits())
        self.openings: set[Opening] = set()
        self.gone = False
        self.used = 0
        self._now = now
        self._idle: set[Any] = set()

    @property
    def online(self) -> bool:
        """Whether a channel could be opened now: its session has a link."""
        return self.session.least_busy().online

    @property
    def busy(self) -> int:
        """How many of its channels do something."""
        return len(self.openings) - len(self._idle)

    def open(self, metadata: dict[str, Any], dialing: Dialing | None = None) -> Opening:
        """Open a channel. Raises TooManyChannels, or LinkLost when the session is over."""
        channel = self.session.least_busy().open(metadata)
        channel.watcher = opening = Opening(self, channel, dialing)
        self.openings.add(opening)
        self.health.dialed()
        return opening

    def failed(self) -> None:
        """It did not take a visitor."""
        self.health.failed(self._now())

    def weight(self, address: str) -> bytes:
        """Its place for this address among all servers, the same again when the client comes back."""
        return blake2b(f"{address} {self.number} {self.client}".encode(), digest_size=8).digest()

    # -- IServer

    def keep(self, connection: Any) -> None:
        """A connection waits for its next request; when the server leaves, it is closed."""
        if self.gone:
            connection.close()
        else:
            self._idle.add(connection)

    def let_go(self, connection: Any) -> None:
        """It does not wait any more."""
        self._idle.discard(connection)

    # --

    def leave(self) -> None:
        """It gets no more visitors; what is under way goes on."""
        self.gone = True
        idle, self._idle = self._idle, set()
        for connection in idle:
            connection.close()

    def unheard(self) -> None:
        """Its session has lost its link, and waits for another."""
        for opening in list(self.openings):
            protocol = opening.channel.protocol
            if opening.dialing is not None:
                opening.dialing.unheard()
            elif IMovable.providedBy(protocol):
                protocol.move()


class Servers:
    """The servers of one tunnel; as a rule there is one, and none while its client is away."""

    __slots__ = ("_now", "_servers", "_turn", "limits")

    def __init__(self, now: Callable[[], float] = lambda: 0.0, limits: ServerLimits | None = None) -> None:
        self.limits = limits or ServerLimits()
        self._now = now
        self._servers: list[Server] = []
        self._turn = 0

    def __iter__(self) -> Iterator[Server]:
        return iter(list(self._servers))

    def __len__(self) -> int:
        return len(self._servers)

    def add(self, session: Serving, number: int, client: str, id: str) -> None:
        """One more serves from now on."""
        self._servers.append(Server(session, number, client, id, self._now, self.limits))

    def find(self, session: Serving, number: int) -> Server | None:
        """The server that this session is under this number."""
        return next((each for each in self._servers if each.session is session and each.number == number), None)

    def remove(self, server: Server) -> None:
        """It gets no more visitors; those it has stay."""
        self._servers.remove(server)
        server.leave()

    def clear(self) -> None:
        """Nobody serves any more."""
        for server in list(self._servers):
            self.remove(server)

    def first(self) -> Server | None:
        """Who serves, where only one does; None: it is not there."""
        for each in self._servers:
            if each.online:
                return each
        return None

    def choose(self, visitor: Visitor, sticky: str, avoid: Collection[Server] = ()) -> Server | None:
        """Who is to serve this visitor; None: nobody is there but those to avoid.

        The one that ``sticky`` (``address`` or ``cookie``) keeps the visitor at; else the least busy one, and of
        several the one whose last turn was longest ago. While all rest, the one whose rest ends first.
        """
        online = [each for each in self._servers if each.online and each not in avoid]
        if not online:
            return None
        now = self._now()
        ready = [each for each in online if each.health.ready(now)]
        chosen = self._pick(ready, visitor, sticky) if ready else min(online, key=lambda each: each.health.until)
        self._turn += 1
        chosen.used = self._turn
        return chosen

    def others(self, avoid: Collection[Server]) -> bool:
        """Whether there is one to turn to instead of these."""
        now = self._now()
        return any(each.online and each not in avoid and each.health.ready(now) for each in self._servers)

    def _pick(self, ready: list[Server], visitor: Visitor, sticky: str) -> Server:
        if sticky == "cookie" and visitor.cookie:
            for each in ready:
                if each.id == visitor.cookie:
                    return each
        elif sticky == "address":
            address = subscriber(visitor.host)
            return max(ready, key=lambda each: each.weight(address))
        return min(ready, key=lambda each: (each.busy, each.used))
