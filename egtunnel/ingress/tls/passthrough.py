"""TLS that does not end here: the visitor of a TLS tunnel, joined to whoever has the key, byte by byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.eager import tune
from egtunnel.errors import Denied, EgtunnelError, OverLimit
from egtunnel.ingress.tls.hello import ACCESS_DENIED, INTERNAL_ERROR, alert
from egtunnel.interfaces import ITunnel, Visitor
from egtunnel.splice import Half, serve

__all__ = ["Crossing"]


class Crossing(Half):
    """A visitor's connection from its ClientHello on, which is the first that it is given.

    Why it cannot be served is said by a TLS alert, as long as nothing else was said.

    :param census: counts the connections of each tunnel, by its name.
    :param on_lost: told once the connection is over.
    """

    log = Logger()

    def __init__(
        self, tunnel: ITunnel, visitor: Visitor, census: Counter[str], on_lost: Callable[[Failure], None]
    ) -> None:
        super().__init__()
        self.visitor = visitor
        self._tunnel = tunnel
        self._census = census
        self._on_lost = on_lost

    def connectionMade(self) -> None:
        """Dial, if the rules of the tunnel let it in."""
        guard, most = self._tunnel.guard, self._tunnel.connections
        self._census[self._tunnel.name] += 1
        if most is not None and self._census[self._tunnel.name] > most:
            self.break_off(OverLimit())
            return
        if guard is not None and not guard.admits(self.visitor):
            self.break_off(Denied())
            return
        tune(self.transport)
        serve(self, self.visitor, self._tunnel.dialer).addErrback(self._not_served)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._census[self._tunnel.name] -= 1
        if not self._census[self._tunnel.name]:
            del self._census[self._tunnel.name]
        self._on_lost(reason)

    def break_off(self, error: EgtunnelError) -> None:
        """End with an alert (RFC 8446 section 6.2); in the middle of something, without."""
        transport: Any = self.transport
        if self.peer is not None and self.peer.received:
            super().break_off(error)
            return
        transport.write(alert(ACCESS_DENIED if isinstance(error, (Denied, OverLimit)) else INTERNAL_ERROR))
        transport.loseConnection()

    def _not_served(self, reason: Failure) -> None:
        if not reason.check(EgtunnelError):
            self.log.failure("a visitor of {name} was not served", reason, name=self._tunnel.name)
