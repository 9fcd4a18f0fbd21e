"""The front door as a factory: give it to every listening port, whatever its number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from egtunnel.ingress.front.census import FULL_FOR_ADDRESS, Census, Place
from egtunnel.ingress.front.detection import Row, anything, starts_with
from egtunnel.ingress.front.last_words import NO_TLS, LastWords, refusal_bytes
from egtunnel.ingress.front.limits import FrontLimits
from egtunnel.ingress.front.networks import Networks
from egtunnel.ingress.front.peek import Peek
from egtunnel.ingress.front.threshold import Threshold
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.peer import Peer
from egtunnel.interfaces import LINK_PROTOCOL, plain_address

__all__ = ["Elsewhere", "FrontDoor", "FrontLimits", "Kind"]

TLS_RECORD = b"\x16"
"""The first byte of a ClientHello: a record of type handshake (RFC 8446 section 5.1)."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What an HTTP/2 connection starts with (RFC 9113 section 3.4)."""
QUIET = 60.0
"""Seconds between two warnings that visitors were turned away."""

Begin = Callable[[Peer, Place], IProtocol | None]
"""Makes the protocol of a connection; None: close it. Whoever makes one sees to it that the place is left."""


Elsewhere = Callable[[Any, bytes, str, int], bool | None]
"""Takes a connection away, if it is better served elsewhere: its transport, all that it sent after a PROXY header, and
the visitor's address and port. True: it is gone; False: it stays; None: more bytes are needed to tell."""


@attrs.frozen
class Kind:
    """One kind of connection: how it goes on, and what it is told when there is no room."""

    begin: Begin
    refuse: Begin


class Http(Protocol):
    """What the door needs of the HTTP ingress."""

    limits: HTTPLimits

    def connection(self, peer: Peer, protocol: bytes = ..., on_left: Callable[[], None] = ...) -> Any:
        """The protocol of a visitor's connection; ``on_left``: called when it is no visitor's any more."""


class Terminator(Protocol):
    """What the door needs of TLS termination."""

    def begin(self, peer: Peer, build: Callable[[Peer, bytes], IProtocol]) -> IProtocol | None:
        """The protocol of a connection whose first bytes are a ClientHello; None: too many are in the handshake.

        ``build`` gives the protocol within, from the peer as TLS knows it and what ALPN chose.
        """


class FrontDoor(ServerFactory):
    """Tells by the first bytes what a connection is and has the right protocol made for it.

    :param terminator: ends TLS; None: there are no certificates.
    :param links: makes the protocol of a client's bare link; ALPN chooses one only where the terminator lets it.
    :param trusted: balancers; what they say of a visitor's address is believed.
    :param scheme: what visitors speak whose connections come without TLS: ``https`` behind a proxy that ends TLS.
    :ivar elsewhere: may take connections away before anything is answered; None: nobody does.
    """

    noisy = False
    log = Logger()

    def __init__(
        self,
        http: Http,
        clock: IReactorTime,
        *,
        terminator: Terminator | None = None,
        links: Callable[[Peer], IProtocol] | None = None,
        trusted: Networks | None = None,
        scheme: str = "http",
        limits: FrontLimits | None = None,
    ) -> None:
        self.clock = clock
        self.limits = limits or FrontLimits()
        self.trusted = trusted or Networks()
        self.census = Census(self.limits)
        self.peeks: set[Peek] = set()
        self.elsewhere: Elsewhere | None = None
        self.table: tuple[Row[Kind], ...] = (
            Row(starts_with(TLS_RECORD), Kind(self._tls, self._close)),
            Row(starts_with(PREFACE), Kind(self._http2, self._close)),
            Row(anything, Kind(self._http1, self._turn_away)),
        )
        self._http = http
        self._terminator = terminator
        self._links = links
        self._scheme = scheme
        self._warned = -QUIET

    def buildProtocol(self, addr: IAddress | None) -> Peek | None:
        """The protocol of a new connection; None, which closes it at once, where even a word is too much."""
        place = self.census.enter()
        if place is None:
            return None
        address: Any = addr
        host = plain_address(str(getattr(address, "host", "")))
        return Peek(self, place, host, int(getattr(address, "port", 0) or 0))

    def settled(self, host: str, port: int) -> Peek | None:
        """The protocol of a connection that has come from elsewhere; it stays. None: there is no room."""
        place = self.census.enter()
        return None if place is None else Peek(self, place, host, port, settled=True)

    def peer(self, host: str, port: int) -> Peer:
        """Who is there, as far as a connection tells without TLS."""
        trusts = self.trusted.__contains__
        return Peer(host, port, self._scheme, trusted=trusts(host), trusts=trusts)

    def change(self, limits: FrontLimits, trusted: Networks) -> None:
        """For the connections that come from now on."""
        self.limits = self.census.limits = limits
        self.trusted = trusted

    def close(self) -> None:
        """End what has not shown what it is."""
        for peek in list(self.peeks):
            peek.close()

    # -- kinds

    def _tls(self, peer: Peer, place: Place) -> IProtocol | None:
        if self._terminator is None:
            return LastWords(self.clock, self._http.limits, NO_TLS, place.leave)

        def build(peer: Peer, protocol: bytes) -> IProtocol:
            if protocol == LINK_PROTOCOL and self._links is not None:
                place.leave()  # a client is no visitor
                return self._links(peer)
            within: IProtocol = self._http.connection(peer, protocol or b"http/1.1", place.leave)
            return within

        outer = self._terminator.begin(peer, build)
        return None if outer is None else Threshold(outer, place)

    def _http2(self, peer: Peer, place: Place) -> IProtocol:
        connection: IProtocol = self._http.connection(peer, b"h2", place.leave)
        return connection

    def _http1(self, peer: Peer, place: Place) -> IProtocol:
        connection: IProtocol = self._http.connection(peer, b"http/1.1", place.leave)
        return connection

    # -- one too many

    def _turn_away(self, peer: Peer, place: Place) -> IProtocol | None:
        self._warn(peer, place)
        if place.refusal is None:
            return None
        words = refusal_bytes(place.refusal, self._http.limits.retry_after)
        return LastWords(self.clock, self._http.limits, words, place.leave)

    def _close(self, peer: Peer, place: Place) -> None:
        self._warn(peer, place)

    def _warn(self, peer: Peer, place: Place) -> None:
        """Say so, now and then: one who asks too often must not fill the log."""
        now = self.clock.seconds()
        if now - self._warned < QUIET:
            return
        self._warned = now
        if place.refusal is FULL_FOR_ADDRESS:
            self.log.warn(
                "turned a visitor away: {host} has {count} connections (--max-per-address; a balancer is exempt when "
                "--trust names it)",
                host=peer.host,
                count=self.limits.per_address,
            )
        else:
            self.log.warn("turned a visitor away: there are {count} (--max-visitors)", count=self.limits.connections)
