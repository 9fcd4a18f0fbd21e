"""Where TLS ends: the handshakes there are, and the connection that comes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.logger import Logger

from egtunnel.ingress.peer import Peer
from egtunnel.ingress.tls.arrival import Arrival
from egtunnel.ingress.tls.certificates import Certificates
from egtunnel.ingress.tls.limits import TLSLimits
from egtunnel.interfaces import ITunnel

__all__ = ["Build", "Terminator"]

Build = Callable[[Peer, bytes], IProtocol]
"""Makes the protocol within, from the peer as TLS knows it and what ALPN chose (b"": nothing)."""
SECOND = 1.0
QUIET = 60.0
"""Seconds between two warnings that connections were closed."""


class Terminator:
    """Begins handshakes, as many at once and a second as the limits allow.

    ``arrivals``: those that are not over. ``crossings``: connections that pass unopened, by the name of their tunnel.

    :param certificates: None: TLS ends nowhere here, and only passes through.
    :param passthrough: the TLS tunnel of a host name (lower case), whose visitors pass unopened; None: there is none.
    """

    log = Logger()

    def __init__(
        self,
        certificates: Certificates | None,
        clock: IReactorTime,
        limits: TLSLimits | None = None,
        passthrough: Callable[[str], ITunnel | None] = lambda name: None,
    ) -> None:
        self.certificates = certificates
        self.passthrough = passthrough
        self.clock = clock
        self.limits = limits or TLSLimits()
        self.arrivals: set[Arrival] = set()
        self.crossings: Counter[str] = Counter()
        self._second = 0.0
        self._begun = 0
        self._warned = -QUIET

    def begin(self, peer: Peer, build: Build) -> IProtocol | None:
        """The protocol of a connection whose first bytes are a ClientHello; None: too many are in the handshake."""
        now = self.clock.seconds()
        if now - self._second >= SECOND:
            self._second, self._begun = now, 0
        if len(self.arrivals) >= self.limits.handshakes or self._begun >= self.limits.rate:
            self._warn(now)
            return None
        self._begun += 1
        return Arrival(self, peer, build)

    def close(self) -> None:
        """End all handshakes that are not over."""
        for arrival in list(self.arrivals):
            arrival.abort()

    def _warn(self, now: float) -> None:
        if now - self._warned >= QUIET:
            self._warned = now
            self.log.warn(
                "closed a TLS connection: {count} handshakes at once or {rate} a second are too many",
                count=self.limits.handshakes,
                rate=self.limits.rate,
            )
