"""What workers say and are told: one truth of names, ports and sessions, which all know before any client hears it."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from egtunnel.access.scope import Scope
from egtunnel.relay.listeners import Listeners
from egtunnel.relay.live import Guest
from egtunnel.relay.settings import RelaySettings
from egtunnel.relay.workers.bulletin import Bulletin
from egtunnel.relay.workers.crew import Crew
from egtunnel.relay.workers.ports import Assignments, KeptDatagrams, KeptPorts
from egtunnel.relay.workers.registry import DistantSession, Registry, SharedTable, words_of
from egtunnel.relay.workers.wire import Words
from egtunnel.session.messages import Message

__all__ = ["Board"]


class Board:
    """The supervisor's side of the talk with its workers.

    :param begun: called once, when all workers are there.
    :ivar crew: is to be set before the first of them begins.
    """

    crew: Crew

    def __init__(
        self,
        settings: RelaySettings,
        table: SharedTable,
        listeners: Listeners,
        kept: Mapping[str, KeptPorts | KeptDatagrams],
        begun: Callable[[], None],
    ) -> None:
        self.table = table
        self.registry = Registry(
            table, settings.addresses, settings.limits.claims, answer=self._answer, end=self._supersede
        )
        self.told: Callable[[str, dict[str, Any]], None] = lambda what, words: None
        self._listeners = listeners
        self._begun = begun
        self._loads: dict[int, Words] = {}
        self._bulletin = Bulletin(self._tell)
        self._assignments = Assignments(kept, lambda: self._bulletin.seen, self._tell)

    @property
    def visitors(self) -> int:
        """How many connections of visitors there are, as the workers said last."""
        return sum(load["visitors"] for load in self._loads.values())

    def received(self, worker: int, words: Words) -> None:
        """A worker says something."""
        kind = words.pop("type")
        self._DO[kind](self, worker, **words)
        self.publish()

    def lost(self, worker: int) -> None:
        """A worker has died: its clients come back to the others."""
        self._bulletin.leave(worker)
        self._loads.pop(worker, None)
        self.registry.lost(worker)
        self._bulletin.post({"type": "parted", "worker": worker})
        for place in self._assignments.lost(worker):
            self.table.changed[place] = None
        self.publish()

    def expire(self) -> None:
        """Take down what has been away for too long."""
        self.table.expire()
        self.publish()

    def look(self) -> None:
        """Have the workers hear how busy the others are; one that is silent is replaced."""
        loads = [(worker, *load.values()) for worker, load in self._loads.items()]
        self.crew.tell_all({"type": "loads", "loads": loads})
        self.crew.look()

    # -- what workers say

    def _hello(self, worker: int) -> None:
        """A worker is there: it hears all that holds, and takes visitors."""
        for other in self._bulletin.seen:
            self._introduce(worker, other)
        for row in self.table.rows():
            self.crew.tell(worker, {"type": "row", **row.to_words()})
        for session in self.registry.offline():
            self.crew.tell(worker, _heard(session))
        self._bulletin.join(worker)
        ports = self._listeners.open
        self.crew.tell(worker, {"type": "begin", "ports": list(ports)}, list(ports.values()))
        for row in self.table.rows():
            self._assignments.assign(row.place, row)
        if len(self._bulletin.seen) == self.crew.count and not self.crew.begun:
            self.crew.begun = True
            self._begun()

    def _introduce(self, one: int, other: int) -> None:
        """Give two workers their ways to each other."""
        streams = socket.socketpair()
        passes = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for number, about, stream, passing in zip((one, other), (other, one), streams, passes, strict=True):
            self.crew.tell(number, {"type": "peer", "worker": about}, [stream, passing])
            stream.close()
            passing.close()

    def _tell(self, worker: int, words: Words, sockets: Sequence[Any] = ()) -> None:
        self.crew.tell(worker, words, sockets)

    def _joined(
        self, worker: int, session: str, token: str, client: str, holder: str, scope: dict[str, Any] | None
    ) -> None:
        known = None if scope is None else Scope.from_json(scope)
        self.registry.joined(worker, session, token, client, known, holder)

    def _said(self, worker: int, session: str, message: str) -> None:
        self.registry.said(worker, session, message)

    def _heard(self, worker: int, session: str, heard: bool) -> None:
        known = self.registry.moved(worker, session, heard)
        if known is not None:
            self._bulletin.post(_heard(known))

    def _session_over(self, worker: int, session: str) -> None:
        known = self.registry.sessions.get((worker, session))
        self.registry.over(worker, session)
        if known is not None and not known.online:
            self._bulletin.post({**_heard(known), "heard": True})  # nobody has to remember it

    def _saw(self, worker: int, turn: int) -> None:
        self._bulletin.saw(worker, turn)

    def _load(self, worker: int, **load: Any) -> None:
        self._loads[worker] = load

    def _event(self, worker: int, what: str, words: dict[str, Any]) -> None:
        self.told(what, words)

    def guests(self) -> list[Guest]:
        """All clients that are there, at whichever worker."""
        held: Counter[Any] = Counter(server.session for tunnel in self.table.all() for server in tunnel.servers)
        return [
            Guest(session.id, session.owner, session.online, session, held[session])
            for session in self.registry.sessions.values()
        ]

    def disconnect(self, id: str) -> bool:
        """Have a session ended; False: there is none."""
        for session in self.registry.sessions.values():
            if session.id == id:
                self.crew.tell(session.worker, {"type": "disconnect", "session": id})
                return True
        return False

    # -- what workers are told

    def _answer(self, session: DistantSession, message: Message) -> None:
        """A client hears it when every worker knows what it says."""
        self.publish()
        words = {"type": "answer", "session": session.id, "message": words_of(message)}
        self._bulletin.after(lambda: self.crew.tell(session.worker, words))

    def _supersede(self, session: DistantSession) -> None:
        self.crew.tell(session.worker, {"type": "supersede", "session": session.id})

    def publish(self) -> None:
        """Tell what has changed."""
        changed, self.table.changed = self.table.changed, {}
        for place in changed:
            row = self.table.row(place)
            if row is None:
                self._bulletin.post({"type": "gone", "place": [place.kind, place.value]})
            else:
                self._bulletin.post({"type": "row", **row.to_words()})
            self._assignments.assign(place, row)

    _DO: dict[str, Callable[..., None]] = {  # noqa: RUF012
        "hello": _hello,
        "joined": _joined,
        "said": _said,
        "heard": _heard,
        "over": _session_over,
        "saw": _saw,
        "load": _load,
        "event": _event,
    }


def _heard(session: DistantSession) -> Words:
    return {"type": "heard", "worker": session.worker, "session": session.id, "heard": session.online}
