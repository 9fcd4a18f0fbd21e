"""Clients of a relay: each that is let in gets a session, and names for as long as it lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from egtunnel.access.scope import Scope
from egtunnel.errors import EgtunnelError, LinkLost, Refused, ShuttingDown, UnknownTunnel
from egtunnel.interfaces import ILink
from egtunnel.mux.budget import Budget
from egtunnel.relay.admission import Door, refuse, turn_away
from egtunnel.relay.attempts import source_of
from egtunnel.relay.audit import Audit
from egtunnel.relay.authentication import Authenticator
from egtunnel.relay.claims import Claims
from egtunnel.relay.holdings import Holdings
from egtunnel.relay.live import Guest
from egtunnel.relay.reservations import Owner
from egtunnel.relay.settings import RelaySettings
from egtunnel.relay.share_requests import ShareRequests
from egtunnel.relay.sharing import Sharing
from egtunnel.relay.tokens import Tokens
from egtunnel.relay.tunnels import TunnelTable
from egtunnel.relay.visits import Visits
from egtunnel.session.bare import BareLink
from egtunnel.session.messages import Welcome
from egtunnel.session.session import Role, Session
from egtunnel.session.transport import ChannelTransport

__all__ = ["Clients"]

NO_CERTIFICATE = Refused("certificate-required", "clients of this relay connect with a certificate of its authority")


class Clients:
    """Makes a session of each link that may come in.

    :ivar door: lets clients in; None until the relay is open.
    :ivar settings: for the sessions that begin from now on.
    :ivar holdings: what belongs to owners for good.
    :ivar sharing: makes shares; None: nobody does.
    :ivar audit: is told of every login and claim that is refused.
    """

    def __init__(
        self, clock: IReactorTime, settings: RelaySettings, tunnels: TunnelTable, random_text: Callable[[], str]
    ) -> None:
        self.door: Door | None = None
        self.settings = settings
        self.budget = Budget(settings.limits.memory)
        self._clock = clock
        self._tunnels = tunnels
        self._random_text = random_text
        self.visits: Counter[str] = Counter()
        self.audit: Audit | None = None
        self.holdings = Holdings()
        self.sharing: Sharing | None = None

    def open(self, tokens: Tokens, authenticator: Authenticator | None = None, audit: Audit | None = None) -> None:
        """Let clients in that show one of these, or one that the authenticator knows."""
        self.audit = audit
        self.door = door = Door(tokens, self._admitted, self._clock, self.settings.limits.admission)
        door.authenticator = authenticator
        if authenticator is not None:
            authenticator.end = door.end
        if audit is not None:
            door.refused = lambda error, peer: audit.refused(error, source_of(peer))

    def link(self, link: ILink) -> None:
        """A link of somebody who has yet to say who it is."""
        if self.door is None:
            turn_away(link, ShuttingDown("the relay is not open"))
        else:
            self.door.link(link)

    def uncertified(self, link: ILink) -> None:
        """A link of somebody who should have shown a certificate, and has not."""
        refuse(link, NO_CERTIFICATE)

    def bare_link(self, peer: str, certified: bool) -> BareLink:
        """The protocol of a link without a WebSocket; ``certified``: it may come in, as far as certificates go."""
        on_link = self.link if certified else self.uncertified
        return BareLink(on_link, self.settings.limits.link, self._clock, peer)

    def change(self, settings: RelaySettings) -> None:
        """For the sessions that begin from now on."""
        self.settings = settings
        self.budget.limit = settings.limits.memory
        if self.door is not None:
            self.door.limits = settings.limits.admission

    def guests(self) -> list[Guest]:
        """All clients that are there."""
        sessions = {} if self.door is None else self.door.sessions
        held: Counter[Any] = Counter(server.session for tunnel in self._tunnels.all() for server in tunnel.servers)
        return [
            Guest(session.id, owner, session.least_busy().online, session, held[session], *session.traffic)
            for owner, session in sessions.items()
        ]

    def disconnect(self, id: str) -> bool:
        """End a session; its client may come back. False: there is none."""
        for session in [] if self.door is None else list(self.door.sessions.values()):
            if session.id == id:
                session.close(LinkLost("the relay's admin has ended this session"))
                return True
        return False

    def send_away(self, error: EgtunnelError) -> None:
        """Tell everybody to go; what is under way goes on."""
        if self.door is not None:
            self.door.leave(error)

    def close(self, error: EgtunnelError) -> None:
        """Everybody out, now."""
        if self.door is not None:
            self.door.close(error)

    def _admitted(self, door: Door, owner: Owner, beside: Session | None) -> tuple[Session, Welcome]:
        """The session of a client that may come in, or a companion of the one it has."""
        settings, limits = self.settings, self.settings.limits
        session = Session(
            role=Role.RELAY,
            clock=self._clock,
            limits=limits.session,
            budget=Budget(limits.session_memory, self.budget) if beside is None else beside.budget,
            id=self._random_text(),
            secret=self._random_text() + self._random_text(),
            on_open=_no_channels if beside is None else beside.on_open,
        )
        session.on_closed = lambda error: door.gone(owner, session, error)
        if beside is None:
            self._take_claims(session, owner, door)
        else:
            session.on_back = beside.on_back
        return session, Welcome(
            session_id=session.id,
            domain=settings.addresses.domain,
            heartbeat=limits.session.heartbeat,
            resume_secret=session.secret,
            resume_window=limits.session.resume,
            limits={"tunnels": limits.claims.tunnels, "channels": limits.session.mux.channels},
        )

    def _take_claims(self, session: Session, owner: Owner, door: Door) -> None:
        """Let the client have names, for as long as the session lasts."""
        settings = self.settings
        scope = self._scope_of(owner)
        claims = Claims(session, owner, self._tunnels, settings.addresses, settings.limits.claims, scope)
        claims.title = self.holdings.title(self._holder_of(owner), scope)
        visits = Visits(session, self._tunnels, self.visits)
        session.on_open = visits.opened
        claims.granted = visits.told
        claims.refused = lambda error: self._note(owner, error)
        claims.share = ShareRequests(
            self.sharing, settings.addresses, self._holder_of(owner), scope, send=session.send, refused=claims.refused
        ).ask

        def closed(error: EgtunnelError) -> None:
            claims.closed()
            door.gone(owner, session, error)

        session.on_message = claims.message
        session.on_away = claims.unheard
        session.on_back = claims.back
        session.on_closed = closed

    def _scope_of(self, owner: Owner) -> Scope | None:
        """What the client's token may do; None: everything."""
        authenticator = None if self.door is None else self.door.authenticator
        return None if authenticator is None else authenticator.scope(owner.token)

    def _holder_of(self, owner: Owner) -> str:
        """Whose token the client has; empty: the relay's own."""
        authenticator = None if self.door is None else self.door.authenticator
        return "" if authenticator is None else authenticator.holder(owner.token)

    def _note(self, owner: Owner, error: Refused) -> None:
        """A claim was refused."""
        if self.audit is not None:
            self.audit.refused(error, f"{owner.token}/{owner.client}")


def _no_channels(channel: ChannelTransport, metadata: dict[str, Any]) -> None:
    """Until it is known who the client is."""
    channel.reset(UnknownTunnel("the relay offers no tunnels"))
