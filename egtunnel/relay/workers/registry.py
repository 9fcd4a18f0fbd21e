"""The one truth over all workers: which session holds which names. It answers what clients ask for, for all of them.

The supervisor runs the same claims, tunnels and reservations as a relay that is alone; only its sessions are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from egtunnel.access.scope import Scope
from egtunnel.errors import LinkLost
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.claims import ClaimLimits, Claims
from egtunnel.relay.holdings import Holdings
from egtunnel.relay.reservations import Owner, Place
from egtunnel.relay.servers import Server
from egtunnel.relay.share_requests import ShareRequests
from egtunnel.relay.sharing import Sharing
from egtunnel.relay.tunnels import Manner, Tunnel, TunnelTable
from egtunnel.relay.workers.rows import Row, Seat
from egtunnel.session.messages import Message, decode, encode
from egtunnel.session.transport import ChannelTransport

__all__ = ["DistantSession", "Registry", "SharedTable", "words_of"]


PLAIN = Manner()


class DistantSession:
    """A session as the supervisor knows it: it can be told something, and that is all.

    ``online``: whether it has a link.
    """

    __slots__ = ("answer", "claims", "id", "online", "owner", "worker")

    def __init__(self, worker: int, id: str, owner: Owner, answer: Callable[[DistantSession, Message], None]) -> None:
        self.worker = worker
        self.id = id
        self.owner = owner
        self.online = True
        self.answer = answer
        self.claims: Any = None

    def send(self, message: Message) -> None:
        """Have its client told."""
        self.answer(self, message)

    def least_busy(self) -> DistantSession:
        """Where channels would be opened."""
        return self

    def open(self, metadata: dict[str, Any]) -> ChannelTransport:
        """Visitors do not come by the supervisor."""
        raise LinkLost


class SharedTable(TunnelTable):
    """A table of tunnels that notes what has changed since somebody last asked.

    ``changed``: places in the order in which they changed.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.changed: dict[Place, None] = {}

    def row(self, place: Place) -> Row | None:
        """What stands there; None: nothing."""
        tunnel = self.at(place)
        if tunnel is None:
            return None
        seats = [_seat(server) for server in tunnel.servers]
        return Row(place, tunnel.manner, tuple(seats))

    def rows(self) -> list[Row]:
        """All that stands."""
        return [row for place in list(self._tunnels) if (row := self.row(place)) is not None]

    def claim(
        self, place: Place, owner: Owner, session: Any, number: int, *, key: str, manner: Manner = PLAIN
    ) -> Tunnel:
        """As in every table, and noted."""
        tunnel = super().claim(place, owner, session, number, key=key, manner=manner)
        self.changed[place] = None
        return tunnel

    def change(self, tunnel: Tunnel, manner: Manner) -> Tunnel:
        """As in every table, and noted."""
        self.changed[tunnel.place] = None
        return super().change(tunnel, manner)

    def release(self, tunnel: Tunnel, server: Server) -> None:
        """As in every table, and noted."""
        self.changed[tunnel.place] = None
        super().release(tunnel, server)

    def away(self, session: Any, tunnels: list[Tunnel]) -> None:
        """As in every table, and noted."""
        self.changed.update(dict.fromkeys(tunnel.place for tunnel in tunnels))
        super().away(session, tunnels)

    def _stand(self, place: Place) -> Tunnel:
        self.changed[place] = None
        return super()._stand(place)

    def _remove(self, place: Place) -> None:
        self.changed[place] = None
        super()._remove(place)


class Registry:
    """The sessions of all workers. An identity has one, wherever its newest link came in.

    :param answer: takes what a client is to be told.
    :param end: has a worker end a session that another one has superseded.
    :ivar holdings: what belongs to owners for good.
    :ivar sharing: makes shares; None: nobody does.
    :ivar renamed: ids of tokens by those that stand in their place since the configuration was read again.
    """

    log = Logger()

    def __init__(
        self,
        table: SharedTable,
        addresses: Addresses,
        limits: ClaimLimits,
        *,
        answer: Callable[[DistantSession, Message], None],
        end: Callable[[DistantSession], None],
    ) -> None:
        self.table = table
        self.renamed: dict[str, str] = {}
        self.holdings = Holdings()
        self.sharing: Sharing | None = None
        self.sessions: dict[tuple[int, str], DistantSession] = {}
        self._owners: dict[Owner, DistantSession] = {}
        self._addresses = addresses
        self._limits = limits
        self._answer = answer
        self._end = end

    def joined(
        self, worker: int, id: str, token: str, client: str, scope: Scope | None = None, holder: str = ""
    ) -> None:
        """A worker has let a client in; a session that the client had elsewhere has no names from this moment on."""
        owner = Owner(self.renamed.get(token, token), client)
        former = self._owners.get(owner)
        if former is not None:
            self._forget(former)
            if former.worker != worker:
                self._end(former)
        session = DistantSession(worker, id, owner, self._answer)
        told: Any = session
        session.claims = Claims(told, owner, self.table, self._addresses, self._limits, scope)
        session.claims.title = self.holdings.title(holder, scope)
        session.claims.share = ShareRequests(
            self.sharing, self._addresses, holder, scope, send=session.send, refused=session.claims.refused
        ).ask
        self.sessions[worker, id] = self._owners[owner] = session

    def said(self, worker: int, id: str, message: str) -> None:
        """A client asks for something; who is superseded gets no answer."""
        session = self.sessions.get((worker, id))
        if session is not None:
            session.claims.message(decode(message.encode()))

    def moved(self, worker: int, id: str, online: bool) -> DistantSession | None:
        """A session has lost its link, or has one again; None: nobody knows it."""
        session = self.sessions.get((worker, id))
        if session is not None:
            session.online = online
        return session

    def over(self, worker: int, id: str) -> None:
        """A session has ended."""
        session = self.sessions.get((worker, id))
        if session is not None:
            self._forget(session)

    def lost(self, worker: int) -> None:
        """A worker is gone, and all its sessions."""
        for session in [each for each in self.sessions.values() if each.worker == worker]:
            self._forget(session)

    def offline(self) -> list[DistantSession]:
        """Those that have no link at the moment."""
        return [session for session in self.sessions.values() if not session.online]

    def _forget(self, session: DistantSession) -> None:
        del self.sessions[session.worker, session.id]
        if self._owners.get(session.owner) is session:
            del self._owners[session.owner]
        session.claims.closed()


def words_of(message: Message) -> str:
    """A control message as text."""
    return encode(message).decode()


def _seat(server: Server) -> Seat:
    session: Any = server.session
    return Seat(session.worker, session.id, server.number, server.client, server.id)
