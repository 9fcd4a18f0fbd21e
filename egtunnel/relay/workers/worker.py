"""A worker's composition root: visitors and clients of a relay whose names a supervisor gives.

It has no state of its own that outlives it, opens no ports, and ends when the supervisor does.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from egtunnel.errors import ConfigurationError, EgtunnelError, ShuttingDown
from egtunnel.ingress.tcp import TCPIngress
from egtunnel.ingress.udp import UDPIngress
from egtunnel.relay.api import api_tunnel
from egtunnel.relay.drain import Drain
from egtunnel.relay.entrance import Entrance
from egtunnel.relay.listeners import Listeners
from egtunnel.relay.membership import Membership
from egtunnel.relay.reservations import Place
from egtunnel.relay.rules import rules
from egtunnel.relay.settings import RelaySettings, applicable
from egtunnel.relay.state import read_token
from egtunnel.relay.tokens import Tokens
from egtunnel.relay.tunnels import Tunnel
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.relay.workers.arrivals import Arrivals, prefix
from egtunnel.relay.workers.mirror import Mirror
from egtunnel.relay.workers.neighbours import Neighbours
from egtunnel.relay.workers.placing import Load, Placing
from egtunnel.relay.workers.post import Post
from egtunnel.relay.workers.rows import Row
from egtunnel.relay.workers.sessions import WorkerClients
from egtunnel.relay.workers.shares import share_of
from egtunnel.relay.workers.wire import Wire, Words
from egtunnel.session.websocket import link_server_factory

__all__ = ["Worker"]

REPORT = 1.0
"""Seconds between two words on how busy we are."""


class Worker(MultiService):
    """One of several processes of a relay.

    :param stop: ends the process. ``reload``: reads the configuration again and has ``change`` called.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: RelaySettings,
        post: Post,
        *,
        say: Callable[[str], None],
        on_fatal: Callable[[EgtunnelError], None],
        stop: Callable[[], None],
        reload: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.settings = settings = share_of(settings, post.of)
        self.reload = reload
        self._reactor = reactor
        self._post = post
        self._say = say
        self._on_fatal = on_fatal
        self._stop = stop
        self._wire: Wire | None = None
        self._drain: Drain | None = None
        self._leaving = False
        self._used = self._used_at = 0.0
        self._make(settings)

    def _make(self, settings: RelaySettings) -> None:
        reactor, post, limits = self._reactor, self._post, settings.limits
        self._room = WaitingRoom(reactor, limits.waiting)
        tables: Any = None  # the names are the supervisor's
        self.clients = WorkerClients(reactor, settings, tables, lambda: prefix(post.number) + secrets.token_hex(8))
        self.membership = Membership(
            reactor, settings, time.time, say=self._say, fail=self._on_fatal, answers=False, tell=self._tell_event
        )
        self._arrivals = Arrivals(reactor, post.number)
        self._neighbours = Neighbours(reactor, self.clients.budget, self.clients.find, self._arrivals.passed)
        self.mirror = Mirror(
            post.number,
            self.clients.find,
            self._neighbours,
            self._room,
            reactor.seconds,
            limits.servers,
            rules(reactor, settings, self.membership.sharing, self.membership.quotas),
        )
        self.clients.mirror = self.mirror
        self.clients.tell = self._tell
        links = link_server_factory(self.clients.link, limits.link, reactor)
        self.entrance = Entrance(
            reactor,
            settings,
            self.mirror,
            links,
            self.clients.bare_link,
            say=self._say,
            wall=time.time,
            shares=self.membership.sharing.links(self.mirror),
            api=api_tunnel(reactor, settings),
        )
        self._sockets: dict[str, dict[int, socket.socket]] = {"port": {}, "udp": {}}
        self._served: dict[Place, Tunnel] = {}
        self._tcp = TCPIngress(reactor, settings.tcp_interface, limits.tcp, self._sockets["port"])
        self._udp = UDPIngress(reactor, settings.tcp_interface, limits.udp, self._sockets["udp"])
        self._open: dict[str, TCPIngress | UDPIngress] = {"port": self._tcp, "udp": self._udp}
        for ingress in self._open.values():
            ingress.setServiceParent(self)
        self._ports: dict[int, socket.socket] = {}
        self._listeners = Listeners(reactor, settings.ports, settings.interface, limits.backlog, self._ports)
        self._placing = Placing(
            self.mirror,
            settings.addresses.domain,
            settings.addresses.link_path.encode("ascii"),
            self._load,
            self.mirror.holder,
        )
        self._arrivals.neighbours, self._arrivals.placing = self._neighbours, self._placing
        self._arrivals.front = self.entrance.front
        self.entrance.front.elsewhere = self._arrivals.elsewhere
        self._report = LoopingCall(self._say_load)
        self._report.clock = reactor

    # -- the service

    def startService(self) -> None:
        """Read the files, and tell the supervisor that we are there."""
        super().startService()
        try:
            self.entrance.load()
            self.membership.open()
            self.clients.open(self._tokens(), self.membership.authenticator, self.membership.audit)
            self.membership.meter(self.clients.door)
        except ConfigurationError as error:
            self._on_fatal(error)
            return
        door: Any = self.clients.door
        door.elsewhere = self._arrivals.resumes
        self._arrivals.door = door
        self.entrance.start()
        self._wire = Wire(self._reactor, self._post.channel, self._received, self._orphaned)
        self._tell({"type": "hello"})

    def stopService(self) -> Deferred[Any]:
        """Let visitors finish within the grace, if the supervisor has not said otherwise."""
        if self._drain is None:
            self._leave("the relay is shutting down", self.settings.limits.grace)
        drain: Any = self._drain
        over: Deferred[Any] = Deferred()
        drain.over.addCallback(lambda _: maybeDeferred(self._end)).chainDeferred(over)
        return over

    def change(self, settings: RelaySettings) -> None:
        """Apply what can be applied to a relay that runs. Raises ConfigurationError, and nothing has changed."""
        door: Any = self.clients.door
        earlier, self.settings = self.settings, share_of(applicable(self.settings, settings), self._post.of)
        try:
            tokens = self._tokens()
            prepared = self.entrance.prepare(self.settings)
        except ConfigurationError:
            self.settings = earlier
            raise
        tokens.replace(door.tokens)
        door.tokens = tokens
        self.entrance.change(self.settings, prepared)
        self.clients.change(self.settings)
        self._room.limits = self.settings.limits.waiting
        self._tcp.limits, self._udp.limits = self.settings.limits.tcp, self.settings.limits.udp

    def _tokens(self) -> Tokens:
        return Tokens([read_token(self.settings.token_file or self.settings.state / "token")])

    # -- the supervisor

    def _tell(self, words: Words) -> None:
        if self._wire is not None:
            self._wire.send(words)

    def _tell_event(self, what: str, words: dict[str, Any]) -> None:
        self._tell({"type": "event", "what": what, "words": words})

    def _received(self, words: Words, sockets: list[socket.socket]) -> None:
        kind = words.pop("type")
        words.pop("sockets", None)
        self._DO[kind](self, *sockets, **words)

    def _orphaned(self) -> None:
        """Without a supervisor there is no relay."""
        self._say(f"worker {self._post.number}: the supervisor is gone")
        self._finish()

    def _peer(self, stream: socket.socket, passing: socket.socket, worker: int) -> None:
        self._neighbours.add(worker, self._post.number < worker, stream, passing)

    def _parted(self, worker: int) -> None:
        self._neighbours.remove(worker)
        self._placing.others.pop(worker, None)
        self.mirror.forget(worker)

    def _begin(self, *sockets: socket.socket, ports: list[int]) -> None:
        """All that holds was said before: take visitors."""
        self._ports.update(zip(ports, sockets, strict=True))
        self._listeners.listen(self.entrance.front)
        self._used_at, self._used = self._reactor.seconds(), time.process_time()
        self._report.start(REPORT, now=True)

    def _row(self, **words: Any) -> None:
        self.mirror.put(Row.from_words(words))

    def _gone(self, place: list[str]) -> None:
        self.mirror.remove(Place(*place))

    def _session_heard(self, worker: int, session: str, heard: bool) -> None:
        if worker != self._post.number:
            self.mirror.hear(worker, session, heard)

    def _serve_port(self, listening: socket.socket, place: list[str]) -> None:
        """Visitors of a TCP or UDP tunnel come to us."""
        where = Place(*place)
        tunnel = self.mirror.at(where)
        if tunnel is None or self._leaving:
            listening.close()
            return
        self._leave_port(place)
        self._served[where] = tunnel
        self._sockets[where.kind][int(where.value)] = listening
        self._open[where.kind].claimed(tunnel)

    def _leave_port(self, place: list[str]) -> None:
        """They go elsewhere; those who are here stay."""
        where = Place(*place)
        tunnel = self._served.pop(where, None)
        if tunnel is not None:
            self._open[where.kind].released(tunnel)

    def _turn(self, turn: int) -> None:
        self._tell({"type": "saw", "turn": turn})

    def _loads(self, loads: list[tuple[int, int, int, float]]) -> None:
        for worker, sessions, visitors, busy in loads:
            if worker != self._post.number and self._neighbours.there(worker):
                self._placing.heard(worker, sessions, visitors, busy)

    # -- how busy we are

    @property
    def visitors(self) -> int:
        """How many connections of visitors there are."""
        return self.entrance.front.census.visitors + self._tcp.connections + self._udp.visitors

    def _load(self) -> Load:
        return Load(len(self.clients), self.visitors)

    def _say_load(self) -> None:
        used, now = time.process_time(), self._reactor.seconds()
        share = (used - self._used) / (now - self._used_at) if now > self._used_at else 0.0
        self._used, self._used_at = used, now
        self._placing.kept = 0
        self._tell({"type": "load", "sessions": len(self.clients), "visitors": self.visitors, "busy": round(share, 3)})

    # -- the end

    def _pause(self, paused: bool) -> None:
        """Another relay may be about to take over: accept nobody for now."""
        for port in (*self._listeners.open.values(), *self._tcp.ports.values(), *self._udp.ports.values()):
            (port.stopReading if paused else port.startReading)()  # type: ignore[attr-defined]

    def _depart(self, why: str, grace: float, hurry: bool) -> None:
        """Take nobody new, let who is here finish, and end."""
        if self._drain is None:
            self._leave(why, grace, hurry)
            self._stop()

    def _leave(self, why: str, grace: float, hurry: bool = True) -> None:
        self._leaving = True
        self.entrance.front.elsewhere = None
        self._tcp.stop_listening()
        self._udp.stop_listening()
        self._listeners.close()
        self.clients.send_away(ShuttingDown(why))
        (self.entrance.http.close if hurry else self.entrance.http.leave)()
        self._say_load()
        self._drain = Drain(self._reactor, lambda: self.visitors + self._neighbours.channels, grace)

    def _finish(self) -> None:
        """End now."""
        if self._drain is None:
            self._leave("the relay is shutting down", 0.001)
        drain: Any = self._drain
        drain.finish()
        self._stop()

    def _end(self) -> Deferred[Any]:
        if self._report.running:
            self._report.stop()
        self.clients.close(ShuttingDown("the relay is shutting down"))
        self._room.close()
        self.entrance.stop()
        self._neighbours.close()
        if self._wire is not None:
            self._wire.close()
        left = self.membership.close()
        return left.addCallback(lambda _: maybeDeferred(super(Worker, self).stopService))

    _DO: dict[str, Callable[..., None]] = {  # noqa: RUF012
        "peer": _peer,
        "parted": _parted,
        "begin": _begin,
        "row": _row,
        "gone": _gone,
        "heard": _session_heard,
        "serve": _serve_port,
        "leave-port": _leave_port,
        "turn": _turn,
        "loads": _loads,
        "answer": lambda self, session, message: self.clients.answer(session, message),
        "supersede": lambda self, session: self.clients.supersede(session),
        "reload": lambda self: self.reload(),
        "pause": _pause,
        "depart": _depart,
        "finish": _finish,
        "disconnect": lambda self, session: self.clients.disconnect(session),
    }
