"""One connection from its ClientHello on: the certificate it asks for, the handshake, and the protocol within."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener, IProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager_tls import EagerTls
from egtunnel.ingress.http.deadline import Deadline
from egtunnel.ingress.peer import Peer
from egtunnel.ingress.tls.certificates import Certificates, Served
from egtunnel.ingress.tls.hello import (
    DECODE_ERROR,
    HANDSHAKE_FAILURE,
    UNRECOGNIZED_NAME,
    MalformedHello,
    alert,
    server_name,
)
from egtunnel.ingress.tls.passthrough import Crossing
from egtunnel.interfaces import ITunnel, Visitor

if TYPE_CHECKING:
    from egtunnel.ingress.tls.terminator import Build, Terminator

__all__ = ["Arrival"]


@implementer(IProtocol)
class Arrival:
    """What the TCP connection talks to. Bytes go on to ``Tls`` as soon as there is one.

    Until the handshake is over the connection counts as unfinished, and has a deadline.
    """

    __slots__ = ("_build", "_data", "_deadline", "_peer", "_terminator", "_tls", "factory", "transport")

    log = Logger()

    def __init__(self, terminator: Terminator, peer: Peer, build: Build) -> None:
        self.transport: Any = None
        self.factory: Any = None
        self._terminator = terminator
        self._peer = peer
        self._build = build
        self._data = b""
        self._tls: EagerTls | None = None
        self._deadline = Deadline(terminator.clock, self.abort)

    def makeConnection(self, transport: Any) -> None:
        """Connected: the ClientHello follows."""
        self.transport = transport
        self._terminator.arrivals.add(self)
        self._deadline.set(self._terminator.limits.handshake)

    def connectionMade(self) -> None:
        """Nothing: ``makeConnection`` did it all."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes of TLS."""
        if self._tls is not None:
            self._tls.dataReceived(data)
            return
        self._data += data
        try:
            name = server_name(self._data, self._terminator.limits.hello)
        except MalformedHello as error:
            self._refuse(DECODE_ERROR, error.text)
            return
        if name is None:
            return
        tunnel = self._terminator.passthrough(name) if name else None
        if tunnel is not None:
            self._pass_through(tunnel, name)
            return
        certificates = self._terminator.certificates
        if certificates is None:
            self._refuse(HANDSHAKE_FAILURE, "there are no certificates")
            return
        served = certificates.find(name)
        if served is None:
            self._refuse(UNRECOGNIZED_NAME, f"no certificate for {name[:255]!a}" if name else "it names no host")
        else:
            self._shake_hands(certificates, served, name)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.over()
        if self._tls is not None:
            self._tls.connectionLost(reason)

    def abort(self) -> None:
        """End it now."""
        self.over()
        self.transport.abortConnection()

    def over(self) -> None:
        """The handshake is over, well or not."""
        self._deadline.cancel()
        self._terminator.arrivals.discard(self)

    def admitted(self, tls: EagerTls, served: Served, name: str, authority: str) -> IProtocol:
        """The handshake went well: the protocol within."""
        self.over()
        connection: Any = tls.getHandle()
        asks = self._terminator.certificates is not None and self._terminator.certificates.asks_for_certificates
        asked = asks and not authority  # which anybody may choose
        peer = attrs.evolve(
            self._peer,
            scheme="https",
            tls=True,
            tls_name=name,
            certified=asked and connection.get_peer_certificate(as_cryptography=True) is not None,
            certified_by=authority,
            covers=served.pair.covers,
        )
        return self._build(peer, connection.get_alpn_proto_negotiated())

    def _pass_through(self, tunnel: ITunnel, name: str) -> None:
        """Another protocol takes over, with all that came; the present one hears of the end."""
        self.over()
        transport, data, self._data = self.transport, self._data, b""
        visitor = Visitor("tls", self._peer.host, self._peer.port, name, tls_name=name)
        crossing = Crossing(tunnel, visitor, self._terminator.crossings, transport.protocol.connectionLost)
        transport.protocol = crossing
        crossing.makeConnection(transport)
        crossing.dataReceived(data)

    def _shake_hands(self, certificates: Certificates, served: Served, name: str) -> None:
        authority = certificates.authority(name)
        context = certificates.context(served, name, authority)
        tls = Tls(_Factory(context, self._terminator.clock), Anteroom(self, served, name, authority))
        data, self._data, self._tls = self._data, b"", tls
        tls.makeConnection(self.transport)
        tls.dataReceived(data)

    def _refuse(self, description: int, reason: str) -> None:
        self.log.debug("no TLS with {host}: {reason}", host=self._peer.host, reason=reason)
        self.over()
        self.transport.write(alert(description))
        self.transport.loseConnection()


class Tls(EagerTls):
    """TLS of a visitor; ``protocol`` is who reads."""

    @property
    def protocol(self) -> Any:
        """The protocol within; another one may take over."""
        return self.wrappedProtocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self.wrappedProtocol = protocol


class _Factory(WrappingFactory):
    """What Twisted's TLS asks of the factory of one connection."""

    noisy = False

    def __init__(self, context: SSL.Context, clock: IReactorTime) -> None:
        self.protocols: dict[Any, Any] = {}
        self._context = context
        self._clock = clock

    def _creatorCallable(self, protocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection


@implementer(IHandshakeListener)
class Anteroom(Protocol):
    """Who waits within until the handshake is over."""

    def __init__(self, arrival: Arrival, served: Served, name: str, authority: str) -> None:
        self._arrival = arrival
        self._served = served
        self._name = name
        self._authority = authority

    def handshakeCompleted(self) -> None:
        """Give way."""
        tls: Any = self.transport
        within = self._arrival.admitted(tls, self._served, self._name, self._authority)
        tls.protocol = within
        within.makeConnection(tls)
