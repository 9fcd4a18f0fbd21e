"""A worker's own sessions: what they ask for goes to the supervisor, and what it answers to their clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from egtunnel.errors import EgtunnelError, LinkLost, Refused, Superseded
from egtunnel.relay.admission import Door
from egtunnel.relay.clients import Clients
from egtunnel.relay.reservations import Owner
from egtunnel.relay.visits import Visits
from egtunnel.relay.workers.mirror import Mirror
from egtunnel.relay.workers.registry import words_of
from egtunnel.relay.workers.wire import Words
from egtunnel.session.messages import Claim, Claimed, Message, Notice, RefusedMessage, Release, Share, Welcome, decode
from egtunnel.session.session import Session

__all__ = ["WorkerClients"]


class WorkerClients(Clients):
    """Clients of a relay whose names are given by a supervisor.

    :ivar tell: says something to it. ``mirror``: our table of names; both are to be set before the door is opened.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tell: Callable[[Words], None] = lambda words: None
        self.mirror: Mirror | None = None
        self._sessions: dict[str, Session] = {}
        self._heard: dict[str, bool] = {}
        self._owners: dict[str, Owner] = {}
        self._visits: dict[str, Visits] = {}

    def find(self, id: str) -> Session | None:
        """The session of a client; not one of its companions."""
        return self._sessions.get(id)

    def __len__(self) -> int:
        return len(self._sessions)

    # -- what the supervisor says

    def answer(self, id: str, message: str) -> None:
        """Have a client told."""
        session = self._sessions.get(id)
        if session is not None:
            told = decode(message.encode())
            if isinstance(told, RefusedMessage):
                self._note(self._owners[id], Refused(told.code, told.text))
            if isinstance(told, Claimed):
                self._visits[id].told(told)
            session.send(told)

    def disconnect(self, id: str) -> bool:
        """The relay's admin ends a session."""
        session = self._sessions.get(id)
        if session is not None:
            session.close(LinkLost("the relay's admin has ended this session"))
        return session is not None

    def supersede(self, id: str) -> None:
        """The client has a newer session elsewhere."""
        session = self._sessions.get(id)
        if session is not None:
            session.close(Superseded())

    # -- sessions

    def _admitted(self, door: Door, owner: Owner, beside: Session | None) -> tuple[Session, Welcome]:
        session, welcome = super()._admitted(door, owner, beside)
        if beside is not None:
            session.on_away = lambda error: self._look(beside)
            session.on_back = lambda: self._look(beside)
        return session, welcome

    def _take_claims(self, session: Session, owner: Owner, door: Door) -> None:
        self._sessions[session.id] = session
        self._heard[session.id] = True
        self._owners[session.id] = owner
        tunnels: Any = self.mirror
        self._visits[session.id] = visits = Visits(session, tunnels, self.visits)
        session.on_open = visits.opened

        def closed(error: EgtunnelError) -> None:
            del self._sessions[session.id]
            del self._heard[session.id], self._owners[session.id], self._visits[session.id]
            door.gone(owner, session, error)
            self.tell({"type": "over", "session": session.id})

        session.on_message = lambda message: self._message(session, message)
        session.on_away = lambda error: self._look(session)
        session.on_back = lambda: self._look(session)
        session.on_closed = closed
        scope = self._scope_of(owner)
        words = {"session": session.id, "token": owner.token, "client": owner.client}
        self.tell(
            {
                "type": "joined",
                **words,
                "holder": self._holder_of(owner),
                "scope": None if scope is None else scope.to_json(),
            }
        )

    def _message(self, session: Session, message: Message) -> None:
        if isinstance(message, (Claim, Release)):
            self._visits[session.id].drop(message.tunnel)
        if isinstance(message, (Claim, Release, Share)):
            self.tell({"type": "said", "session": session.id, "message": words_of(message)})
        elif not isinstance(message, Notice):
            session.send(Notice(f"the relay does not expect a message {message.type[:100]!r}"))

    def _look(self, session: Session) -> None:
        """Whether there is a link, of the session or of a companion, may have changed."""
        heard = session.least_busy().online
        before = self._heard.get(session.id)
        if before is None or self.mirror is None:
            return
        self._heard[session.id] = heard
        if heard != before:
            self.tell({"type": "heard", "session": session.id, "heard": heard})
        (self.mirror.back if heard else self.mirror.unheard)(session)
