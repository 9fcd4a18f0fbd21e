"""The composition root of a relay with workers: what there is once, however many processes serve it.

The state folder and the ledger of names, the ports, the claims of all clients, and the workers. No visitor and no
client is connected to this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from signal import SIGINT, SIGTERM
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from egtunnel.errors import ConfigurationError, EgtunnelError, LinkLost
from egtunnel.relay.api import Api
from egtunnel.relay.departure import give_up, take_back
from egtunnel.relay.entrance import Entrance
from egtunnel.relay.handover import Handover, Sockets
from egtunnel.relay.holdings import holdings_of
from egtunnel.relay.inherited import Inherited
from egtunnel.relay.listeners import Listeners
from egtunnel.relay.live import Live
from egtunnel.relay.reservations import Reservations
from egtunnel.relay.root import Root
from egtunnel.relay.rules import rules
from egtunnel.relay.settings import RelaySettings, applicable
from egtunnel.relay.sharing import Sharing
from egtunnel.relay.state import Ledger, State
from egtunnel.relay.tokens import Tokens
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.relay.workers.board import Board
from egtunnel.relay.workers.crew import Crew, Launch
from egtunnel.relay.workers.ports import KeptDatagrams, KeptPorts
from egtunnel.relay.workers.registry import SharedTable
from egtunnel.signals import Signals
from egtunnel.store.store import Store

__all__ = ["Supervisor"]

LOOK = 1.0
"""Seconds between two looks at the workers."""
MOMENT = 0.5
"""Seconds in which workers without visitors end."""
PATIENCE = 10.0
"""Seconds that workers have to end after their grace."""


class Supervisor(Root):
    """A relay of several processes, as far as twistd and the person who runs it see.

    The parameters are those of ``relay.service.Relay``; ``launch`` says how workers are started.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: RelaySettings,
        launch: Launch,
        *,
        say: Callable[[str], None],
        on_fatal: Callable[[EgtunnelError], None],
        on_left: Callable[[], None],
        inherited: Inherited,
        signals: Signals,
    ) -> None:
        super().__init__(settings, say=say, on_fatal=on_fatal, on_left=on_left, inherited=inherited)
        self._reactor = reactor
        self._signals = signals
        self._left = False
        self._tokens: Tokens | None = None
        self._store = None if settings.store is None else Store(settings.store, reactor, say=say)
        self._sharing = Sharing(self._store, reactor, settings)
        self._holdings = holdings_of(self._store, reactor, time.time, settings.resolver)
        self._make_names()
        self._make_ports()
        self._make_workers(launch)

    def _make_names(self) -> None:
        settings, limits, reactor = self.settings, self.settings.limits, self._reactor
        self._state = State(settings.state, self._say)
        reservations = Reservations(limits.reservations)
        self._ledger = Ledger(settings.state / "names.json", reservations, reactor, time.time, self._say)
        room = WaitingRoom(reactor, limits.waiting)  # of nobody: visitors wait at the workers
        self.table = SharedTable(
            reservations,
            room,
            reactor.seconds,
            self._ledger.changed,
            limits=limits.servers,
            guards=rules(reactor, settings, self._sharing),  # to look at claims: those that judge are the workers'
        )

    def _make_ports(self) -> None:
        settings, limits, reactor = self.settings, self.settings.limits, self._reactor
        self._tcp = KeptPorts(reactor, settings.tcp_interface, limits.tcp, self._inherited.tunnels)
        self._tcp.setServiceParent(self)
        self._udp = KeptDatagrams(reactor, settings.tcp_interface, limits.udp, self._inherited.udp)
        self._udp.setServiceParent(self)
        self.table.observers += [self._tcp, self._udp]
        self._listeners = Listeners(reactor, settings.ports, settings.interface, limits.backlog, self._inherited.ports)
        # Serves nobody: it finds what is wrong with the files before any worker does.
        self._rehearsal = Entrance(reactor, settings, self.table, _Nobody(), _no_link, say=_nothing, wall=time.time)
        self._handover = Handover(reactor, settings.state, freeze=self._freeze, thaw=self._thaw, left=self._leave)

    def _make_workers(self, launch: Launch) -> None:
        self.board = board = Board(
            self.settings, self.table, self._listeners, {"port": self._tcp, "udp": self._udp}, self._begun
        )
        board.registry.holdings = self._holdings
        board.registry.sharing = self._sharing
        live = Live(
            self.table,
            self.settings.addresses,
            guests=board.guests,
            close=board.disconnect,
            visitors=lambda: board.visitors,
            seconds=self._reactor.seconds,
            workers=self.settings.workers,
        )
        self.api = Api(self._reactor, self.settings, self._store, live)
        self.table.observers.append(self.api)
        board.told = self.api.tell
        self.crew = board.crew = Crew(
            self._reactor,
            self.settings.workers,
            launch,
            received=board.received,
            lost=board.lost,
            failed=lambda: self._fail(ConfigurationError("a worker could not begin")),
            say=self._say,
        )
        self._expiry, self._watch = LoopingCall(board.expire), LoopingCall(board.look)
        self._expiry.clock = self._watch.clock = self._reactor

    # -- the service

    def _listen(self) -> None:
        self._rehearsal.load()
        self._take_over()
        if not self._listeners.open:
            self._listeners.listen(_Nobody())
            for port in self._own_ports():
                port.stopReading()

    def _open(self) -> None:
        self._listen()
        self._state.hold()
        self._tokens = self._read_tokens()
        self._ledger.load()
        self.table.restore()
        self._inherited.close()
        self._expiry.start(self.settings.limits.expiry, now=False)
        if self._store is not None:  # workers say what is wrong with it
            self._store.open().addBoth(lambda _: self._holdings.start())
        self.api.open()
        self.crew.start()
        self._watch.start(LOOK, now=False)

    def _own_ports(self) -> list[Any]:
        return list(self._listeners.open.values())

    def stopService(self) -> Deferred[Any]:
        """Have the workers let visitors finish within the grace, then write down who owns what."""
        self._handover.close()
        self.api.close()
        if self._left:
            self.crew.kill()
        ended = self._workers_end() if self.crew.pids() else succeed(None)
        closing = self._listeners.close()
        self._tcp.stop_listening()
        self._udp.stop_listening()
        return ended.addCallback(lambda _: self._end()).addCallback(lambda _: closing)

    def _workers_end(self) -> Deferred[None]:
        grace = self.settings.limits.grace
        why = "the relay is shutting down"
        if grace:
            self.crew.tell_all({"type": "depart", "why": why, "grace": grace, "hurry": True})
            self._signals.on(lambda: self.crew.tell_all({"type": "finish"}), SIGTERM, SIGINT)
        else:
            self.crew.tell_all({"type": "finish"})
        calls = [
            self._reactor.callLater(grace + PATIENCE, self.crew.kill),
            self._reactor.callLater(MOMENT, self._say_what_lasts, grace),
        ]

        def ended(_: None) -> None:
            for call in calls:
                if call.active():
                    call.cancel()

        return self.crew.over().addCallback(ended)

    def _say_what_lasts(self, grace: float) -> None:
        if grace and not self._left:
            self._say(f"egrelay is stopping: {self.board.visitors} connections may go on for {grace:g} s")

    def _end(self) -> Deferred[Any]:
        for call in (self._expiry, self._watch):
            if call.running:
                call.stop()
        self._rehearsal.stop()
        self._ledger.close()
        self._state.release()
        self._holdings.stop()
        closed = succeed(None) if self._store is None else self._store.close()
        return closed.addCallback(lambda _: maybeDeferred(super(Supervisor, self).stopService))

    def _begun(self) -> None:
        """All workers are there."""
        super()._begun()

    # -- other settings while we run

    def change(self, settings: RelaySettings) -> None:
        """As ``Relay.change``; what is wrong is found here, before the workers read the same.

        Raises ConfigurationError, and nothing has changed.
        """
        if self._tokens is None:
            raise ConfigurationError("the relay is not open")
        earlier, self.settings = self.settings, applicable(self.settings, settings)
        try:
            tokens = self._read_tokens()
            prepared = self._rehearsal.prepare(self.settings)
        except ConfigurationError:
            self.settings = earlier
            raise
        tokens.replace(self._tokens)
        self._tokens = tokens
        self._ledger.renamed = tokens.renamed
        self.board.registry.renamed = {own: known for known, own in tokens.renamed.items()}
        self._ledger.changed()
        self._rehearsal.change(self.settings, prepared)
        self.table.reservations.limits = self.settings.limits.reservations
        self.crew.tell_all({"type": "reload"})

    # -- another relay takes over

    def _freeze(self) -> Sockets:
        self.api.close()
        sockets = self._listeners.open, self._tcp.ports, self._udp.ports
        self.crew.tell_all({"type": "pause", "paused": True})
        give_up(sockets, self._state, self._ledger)
        return sockets

    def _thaw(self) -> None:
        take_back(self._state, self._ledger)
        self.api.open()
        self.crew.tell_all({"type": "pause", "paused": False})

    def _leave(self) -> None:
        self._left = True
        if self._expiry.running:
            self._expiry.stop()
        self._tcp.stop_listening()
        self._udp.stop_listening()
        self._listeners.close()
        self._say(f"another relay has taken over; {self.board.visitors} connections stay here until they end")
        grace = self.settings.limits.upgrade_grace
        self.crew.tell_all({"type": "depart", "why": "a new relay takes over", "grace": grace, "hurry": False})
        self.crew.over().addCallback(lambda _: self._on_left())


class _Nobody(ServerFactory):
    """Whose connections never come here."""

    noisy = False


def _nothing(line: str) -> None:
    """What workers say is enough."""


def _no_link(peer: str, certified: bool) -> IProtocol:
    """Nobody comes in at a rehearsal."""
    raise LinkLost("this entrance serves nobody")
