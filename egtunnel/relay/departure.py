"""How a relay goes: it waits for its visitors when it is stopped, and leaves its place to another that takes over."""

from __future__ import annotations

from collections.abc import Callable
from signal import SIGINT, SIGTERM
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from egtunnel.errors import ConfigurationError, EgtunnelError, ShuttingDown
from egtunnel.relay.drain import Drain
from egtunnel.relay.handover import Sockets
from egtunnel.relay.listeners import Listeners
from egtunnel.relay.state import Ledger, State
from egtunnel.signals import Signals

__all__ = ["Departure", "give_up", "take_back"]

log = Logger()


class Departure:
    """Everything that takes visitors in, and what they leave behind.

    :param tcp: the TCP ingress; ``udp``: that of UDP; ``http``: that of HTTP.
    :param visitors: how many connections there are.
    :param send_away: tells every client to go, and why.
    """

    def __init__(
        self,
        clock: Any,
        *,
        listeners: Listeners,
        tcp: Any,
        udp: Any,
        http: Any,
        state: State,
        ledger: Ledger,
        visitors: Callable[[], int],
        send_away: Callable[[EgtunnelError], None],
        say: Callable[[str], None],
        signals: Signals | None,
    ) -> None:
        self._clock = clock
        self._listeners = listeners
        self._tcp = tcp
        self._udp = udp
        self._http = http
        self._state = state
        self._ledger = ledger
        self._visitors = visitors
        self._send_away = send_away
        self._say = say
        self._signals = signals
        self._drain: Drain | None = None

    def close_ports(self) -> Deferred[Any]:
        """Take nobody new; fires when all ports are closed."""
        self._tcp.stop_listening()
        self._udp.stop_listening()
        return self._listeners.close()

    def stop(self, grace: float) -> Deferred[None] | None:
        """Wait for the visitors, for no longer than ``grace`` seconds; None: there is nothing to wait for."""
        if self._drain is not None:
            self._drain.finish()
            return None
        if not self._visitors() or not grace:
            return None
        self._send_away(ShuttingDown("the relay is shutting down"))
        self._http.close()
        self._drain = drain = Drain(self._clock, self._visitors, grace)
        if self._signals is not None:
            self._signals.on(drain.finish, SIGTERM, SIGINT)
        self._say(f"egrelay is stopping: {self._visitors()} connections may go on for {grace:g} s")
        return drain.over

    # -- another relay takes over

    def freeze(self) -> Sockets:
        """Accept and write nothing any more; the sockets that the new relay is to have."""
        sockets = self._listeners.open, self._tcp.ports, self._udp.ports
        for port in (*sockets[0].values(), *sockets[1].values(), *sockets[2].values()):
            port.stopReading()
        give_up(sockets, self._state, self._ledger)
        return sockets

    def thaw(self) -> None:
        """The new relay did not begin: go on as before."""
        take_back(self._state, self._ledger)
        for port in (*self._listeners.open.values(), *self._tcp.ports.values(), *self._udp.ports.values()):
            port.startReading()

    def leave(self, grace: float) -> Deferred[None]:
        """The new relay has begun: send every client there; fires when the last visitor has gone."""
        self.close_ports()
        self._send_away(ShuttingDown("a new relay takes over"))
        self._http.leave()
        self._say(f"another relay has taken over; {self._visitors()} connections stay here until they end")
        self._drain = Drain(self._clock, self._visitors, grace)
        return self._drain.over


def give_up(sockets: Sockets, state: State, ledger: Ledger) -> None:
    """Let another relay have the sockets and the state: nothing is written any more, and closing ends nothing."""
    for port in (*sockets[0].values(), *sockets[1].values()):
        # Twisted shuts a socket down before it closes it, and it is the other relay's, too.
        vars(port)["_shouldShutdown"] = False
    ledger.close()
    state.release()


def take_back(state: State, ledger: Ledger) -> None:
    """The other relay did not begin: the state is ours again."""
    log.warn("a relay that was to take over did not begin; going on")
    try:
        state.hold()
    except ConfigurationError as error:
        log.error("{text}", text=error.text)
    ledger.thaw()
