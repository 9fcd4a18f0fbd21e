"""The relay's composition root: what listens, who may come in, which names there are, and what is kept."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from egtunnel.errors import ConfigurationError, EgtunnelError, ShuttingDown
from egtunnel.ingress.tcp import TCPIngress
from egtunnel.ingress.udp import UDPIngress
from egtunnel.relay.admission import Door
from egtunnel.relay.api import Api, api_tunnel
from egtunnel.relay.clients import Clients
from egtunnel.relay.departure import Departure
from egtunnel.relay.entrance import Entrance
from egtunnel.relay.handover import Handover, Sockets
from egtunnel.relay.inherited import Inherited
from egtunnel.relay.listeners import Listeners
from egtunnel.relay.live import Live
from egtunnel.relay.membership import Membership
from egtunnel.relay.reservations import Reservations
from egtunnel.relay.root import Root
from egtunnel.relay.rules import rules
from egtunnel.relay.settings import RelaySettings, applicable
from egtunnel.relay.state import Ledger, State
from egtunnel.relay.tunnels import TunnelTable
from egtunnel.relay.waiting import WaitingRoom
from egtunnel.session.websocket import link_server_factory
from egtunnel.signals import Signals

__all__ = ["Relay"]


class Relay(Root):
    """A relay, from its first port to its last file.

    Usable without twistd: ``Relay(reactor, settings).startService()``.

    :param say: takes one line for a person.
    :param on_fatal: told why the relay cannot work; nothing happens after that.
    :param on_left: told that another relay has taken over and the last visitor of ours has gone.
    :param inherited: sockets that listen already.
    :param signals: a second one ends a relay that waits for its visitors; None: there are none.
    :raises ConfigurationError: the access log cannot be written.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: RelaySettings,
        *,
        say: Callable[[str], None] = lambda line: None,
        on_fatal: Callable[[EgtunnelError], None] = lambda error: None,
        on_left: Callable[[], None] = lambda: None,
        inherited: Inherited | None = None,
        signals: Signals | None = None,
        random_text: Callable[[], str] = lambda: secrets.token_hex(8),
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(settings, say=say, on_fatal=on_fatal, on_left=on_left, inherited=inherited or Inherited())
        self._reactor = reactor
        limits = settings.limits
        self._state = State(settings.state, say)
        reservations = Reservations(limits.reservations)
        self._ledger = Ledger(settings.state / "names.json", reservations, reactor, wall, say)
        self._room = WaitingRoom(reactor, limits.waiting)
        changed = self._ledger.changed
        self.membership = Membership(reactor, settings, wall, say=say, fail=self._fail, tell=self._tell)
        self.tunnels = TunnelTable(
            reservations,
            self._room,
            reactor.seconds,
            changed,
            random_text=random_text,
            limits=limits.servers,
            guards=rules(reactor, settings, self.membership.sharing, self.membership.quotas),
        )
        self._tcp = TCPIngress(reactor, settings.tcp_interface, limits.tcp, self._inherited.tunnels)
        self._tcp.setServiceParent(self)
        self._udp = UDPIngress(reactor, settings.tcp_interface, limits.udp, self._inherited.udp)
        self._udp.setServiceParent(self)
        self.tunnels.observers += [self._tcp, self._udp]
        self.clients = Clients(reactor, settings, self.tunnels, random_text)
        links = link_server_factory(self.clients.link, limits.link, reactor)
        self.entrance = Entrance(
            reactor,
            settings,
            self.tunnels,
            links,
            self.clients.bare_link,
            say=say,
            wall=wall,
            shares=self.membership.sharing.links(self.tunnels),
            api=api_tunnel(reactor, settings),
        )
        live = Live(
            self.tunnels,
            settings.addresses,
            guests=self.clients.guests,
            close=self.clients.disconnect,
            visitors=self._visitors,
            seconds=reactor.seconds,
        )
        self.api = Api(reactor, settings, self.membership.store, live, wall)
        self.tunnels.observers.append(self.api)
        self._listeners = Listeners(reactor, settings.ports, settings.interface, limits.backlog, self._inherited.ports)
        self._departure = Departure(
            reactor,
            listeners=self._listeners,
            tcp=self._tcp,
            udp=self._udp,
            http=self.entrance.http,
            state=self._state,
            ledger=self._ledger,
            visitors=self._visitors,
            send_away=self.clients.send_away,
            say=say,
            signals=signals,
        )
        self._handover = Handover(reactor, settings.state, freeze=self._freeze, thaw=self._thaw, left=self._leave)
        self._expiry = LoopingCall(self.tunnels.expire)
        self._expiry.clock = reactor

    @property
    def door(self) -> Door | None:
        """Lets clients in; None until the relay is open."""
        return self.clients.door

    # -- the service

    def _open(self) -> None:
        self._listen()
        self._state.hold()
        tokens = self._read_tokens()
        self._ledger.load()
        self.tunnels.restore()
        self._inherited.close()
        self.membership.open()
        self.clients.open(tokens, self.membership.authenticator, self.membership.audit)
        self.clients.holdings = self.membership.holdings
        self.clients.sharing = self.membership.sharing
        self.membership.meter(self.clients.door)
        self.entrance.start()
        self.api.open()
        self._expiry.start(self.settings.limits.expiry, now=False)
        self._begun()

    def stopService(self) -> Deferred[Any]:
        """Close the ports, let visitors finish within the grace, tell every client, and write down who owns what."""
        self.api.close()  # who listens to events would be waited for
        closing = self._departure.close_ports()
        self._handover.close()
        drained = self._departure.stop(self.settings.limits.grace if self.door is not None else 0.0)
        ended = self._end() if drained is None else drained.addCallback(lambda _: self._end())
        return ended.addCallback(lambda _: closing)

    def _end(self) -> Deferred[Any]:
        """Close everything, now."""
        if self._expiry.running:
            self._expiry.stop()
        self.clients.close(ShuttingDown("the relay is shutting down"))
        self._room.close()
        self.entrance.stop()
        self._ledger.close()
        self._state.release()
        left = self.membership.close()
        return left.addCallback(lambda _: maybeDeferred(super(Relay, self).stopService))

    def _tell(self, what: str, words: dict[str, Any]) -> None:
        self.api.tell(what, words)

    def _visitors(self) -> int:
        return self.entrance.front.census.visitors + self._tcp.connections + self._udp.visitors

    def _freeze(self) -> Sockets:
        self.api.close()
        return self._departure.freeze()

    def _thaw(self) -> None:
        self._departure.thaw()
        self.api.open()

    def _listen(self) -> None:
        """Keys are often readable, as ports are open, only to who starts us."""
        self.entrance.load()
        self._take_over()
        self._listeners.listen(self.entrance.front)

    def _leave(self) -> None:
        """Another relay has begun in our place."""
        if self._expiry.running:
            self._expiry.stop()
        self._departure.leave(self.settings.limits.upgrade_grace).addCallback(lambda _: self._on_left())

    # -- other settings while we run

    def change(self, settings: RelaySettings) -> None:
        """Apply what can be applied to a relay that runs, for what begins from now on; read all files again.

        Raises ConfigurationError, and nothing has changed.
        """
        if self.door is None:
            raise ConfigurationError("the relay is not open")
        earlier, self.settings = self.settings, applicable(self.settings, settings)
        try:
            tokens = self._read_tokens()
            prepared = self.entrance.prepare(self.settings)
        except ConfigurationError:
            self.settings = earlier
            raise
        tokens.replace(self.door.tokens)
        self.door.tokens = tokens
        self._ledger.renamed = tokens.renamed
        self._ledger.changed()
        self.entrance.change(self.settings, prepared)
        self.clients.change(self.settings)
        self._room.limits = self.settings.limits.waiting
        self._tcp.limits, self._udp.limits = self.settings.limits.tcp, self.settings.limits.udp
        self.tunnels.reservations.limits = self.settings.limits.reservations
