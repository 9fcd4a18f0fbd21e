"""The client's session over any number of links: begun with one, carried on by the next, and what ends each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from egtunnel.errors import EgtunnelError, FlowControlError, LinkLost
from egtunnel.interfaces import ILink
from egtunnel.mux.budget import Budget
from egtunnel.session.messages import Welcome
from egtunnel.session.session import Role, Session, SessionLimits
from egtunnel.session.transport import ChannelTransport

__all__ = ["Continuity"]

OnOpen = Callable[[ChannelTransport, dict[str, Any]], None]


class Continuity:
    """At most one session, and at most one link that carries it.

    :param begin: told of each new session, before anything arrives on it.
    :param end: told that a session is over.
    :param heartbeat: the shortest and the longest that a relay may ask for.
    """

    def __init__(
        self,
        clock: IReactorTime,
        limits: SessionLimits,
        heartbeat: tuple[float, float],
        budget: int,
        *,
        on_open: OnOpen,
        begin: Callable[[Session], None],
        end: Callable[[], None],
    ) -> None:
        self.session: Session | None = None
        self.link: ILink | None = None
        self._clock = clock
        self._limits = limits
        self._heartbeat = heartbeat
        self._budget = budget
        self._on_open = on_open
        self._begin = begin
        self._end = end
        self._gone: Deferred[EgtunnelError] | None = None

    def resume(self) -> dict[str, Any] | None:
        """What the hello of a new link says of the session that is to go on over it; None: there is none.

        From now on the session reads nothing more from its old link, so that its position is the last word.
        """
        session = self.session
        if session is None:
            return None
        session.leave(LinkLost("a new link takes over"))
        if session.closed is not None:
            return None
        return {"session": session.id, "secret": session.secret, "position": session.position}

    def carry(self, link: ILink, welcome: Welcome, rest: bytes) -> Deferred[EgtunnelError]:
        """Go on with the session, or begin one, as the relay's welcome says; ``rest`` came after it.

        Fires with the reason once the link carries the session no more.
        """
        session = self._resumed(welcome) or self._begun(welcome)
        self.link = link
        gone = self._gone = Deferred()
        session.attach(link)
        if self.session is session and rest:
            session.link_message(rest)
        return gone

    def _resumed(self, welcome: Welcome) -> Session | None:
        session = self.session
        if session is None:
            return None
        if welcome.resumed is not None and welcome.session_id == session.id:
            try:
                session.resume(welcome.resumed)
            except FlowControlError as error:
                session.close(error)
            else:
                return session
        else:
            session.close(LinkLost("the relay did not keep the session"))
        return None

    def _begun(self, welcome: Welcome) -> Session:
        shortest, longest = self._heartbeat
        heartbeat = min(max(welcome.heartbeat, shortest), longest)
        window = min(self._limits.resume, welcome.resume_window)
        session = Session(
            role=Role.CLIENT,
            clock=self._clock,
            limits=attrs.evolve(self._limits, heartbeat=heartbeat, resume=window),
            budget=Budget(self._budget),
            id=welcome.session_id,
            secret=welcome.resume_secret,
            on_open=self._on_open,
            on_closed=self._closed,
        )
        session.on_away = self._away
        self.session = session
        self._begin(session)
        return session

    def _away(self, error: EgtunnelError) -> None:
        self.link = None
        gone, self._gone = self._gone, None
        if gone is not None:
            gone.callback(error)

    def _closed(self, error: EgtunnelError) -> None:
        self.session = None
        self._end()
        self._away(error)
