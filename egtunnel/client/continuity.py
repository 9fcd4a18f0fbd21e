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

DOUBTFUL = 1.0
"""Seconds in which a link that stands answers."""

MOST_LEAVING = 4
"""So many older sessions may wait for their channels to end; beyond it the oldest is ended."""

OnOpen = Callable[[ChannelTransport, dict[str, Any]], None]


def _ignore(*_: Any) -> None:
    return None


class Continuity:
    """At most one session, and at most one link that carries it.

    A link that is in doubt goes on carrying the session until another one is there (make before break). A session
    that the relay means to end (GOAWAY) is ``leaving``: it keeps its link and its channels until it does, and the next
    link begins another.

    :param begin: told of each new session, before anything arrives on it.
    :param end: told that a session is over.
    :param heartbeat: the shortest and the longest that a relay may ask for.
    :param budget: that of all sessions together.
    """

    def __init__(
        self,
        clock: IReactorTime,
        limits: SessionLimits,
        heartbeat: tuple[float, float],
        budget: Budget,
        *,
        on_open: OnOpen,
        begin: Callable[[Session], None],
        end: Callable[[], None],
    ) -> None:
        self.session: Session | None = None
        self.link: ILink | None = None
        self.leaving: list[Session] = []
        self._reason: EgtunnelError = LinkLost()
        self._clock = clock
        self._limits = limits
        self._heartbeat = heartbeat
        self._budget = budget
        self._on_open = on_open
        self._begin = begin
        self._end = end
        self._gone: Deferred[EgtunnelError | None] | None = None

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

    def carry(self, link: ILink, welcome: Welcome, rest: bytes) -> None:
        """Go on with the session, or begin one, as the relay's welcome says; ``rest`` came after it."""
        session = self._resumed(welcome) or self._begun(welcome)
        self.link = link
        session.attach(link)
        if rest and self.link is link:
            session.link_message(rest)

    @property
    def carried(self) -> int:
        """Bytes that came and went over the links of this session."""
        return self.session.carried if self.session is not None else 0

    def gone(self) -> Deferred[EgtunnelError | None]:
        """Fires with the reason once there is no link any more; with None if the link is in doubt."""
        gone: Deferred[EgtunnelError | None] = Deferred()
        if self.link is None:
            gone.callback(self._reason)
        else:
            self._gone = gone
        return gone

    def let_go(self, error: EgtunnelError) -> None:
        """The session goes on by itself, as long as the relay and its link let it; it is ours no more."""
        session, self.session, self.link = self.session, None, None
        self._reason = error
        if session is None or session.closed is not None:
            return
        self.leaving.append(session)
        session.on_closed = lambda _: self.leaving.remove(session)
        session.on_away = session.on_leaving = _ignore
        session.on_message = _ignore
        session.secret = ""  # nobody resumes it: it ends with its link
        if len(self.leaving) > MOST_LEAVING:
            self.leaving[0].close(LinkLost("too many older sessions"))

    def close(self, error: EgtunnelError) -> None:
        """End all sessions there are."""
        for session in [*self.leaving, self.session]:
            if session is not None:
                session.close(error)

    def doubt(self) -> None:
        """Something happened that may have cut the link: ask whether it stands; if it is silent, have another made."""
        if self.link is not None and self.session is not None:
            self.session.doubt()
            self._clock.callLater(DOUBTFUL, self._still_silent, self.link, self._clock.seconds())

    def _still_silent(self, link: ILink, asked: float) -> None:
        if self.link is link and self.session is not None and self.session.heard < asked:
            self._tell(None)

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
            budget=Budget(self._budget.limit, self._budget),
            id=welcome.session_id,
            secret=welcome.resume_secret,
            on_open=self._on_open,
            on_closed=self._closed,
        )
        session.on_away = self._away
        session.on_leaving = self._leaves
        self.session = session
        self._begin(session)
        return session

    def _away(self, error: EgtunnelError) -> None:
        self.link = None
        self._reason = error
        self._tell(error)

    def _leaves(self, error: EgtunnelError) -> None:
        self.let_go(error)
        self._end()
        self._tell(error)

    def _tell(self, error: EgtunnelError | None) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            gone.callback(error)

    def _closed(self, error: EgtunnelError) -> None:
        self.session = None
        self._end()
        self._away(error)
