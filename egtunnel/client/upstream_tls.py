"""TLS from this side: verified against the system's authorities, a named file, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, platformTrust
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.client.certificate_names import is_address, is_for, names_of
from egtunnel.client.pem_files import OwnCertificate, authorities
from egtunnel.client.tls_faults import Fault, FaultKind, fault_in, fault_of_certificate, openssl_words, wrong_name
from egtunnel.eager_tls import EagerTlsFactory
from egtunnel.errors import EgtunnelError, UpstreamRefused

__all__ = ["TlsEndpoint", "TlsTrust", "Verified", "Wording", "over_tls"]

Wording = Callable[[Fault], EgtunnelError]
"""The error that a fault becomes: what the user can do about it depends on who is at the far side."""


@attrs.frozen
class TlsTrust:
    """Whom to believe: ``authority`` is a PEM file (empty: the system's); with ``verify`` off, anybody."""

    authority: str = ""
    verify: bool = True


def over_tls(host: str, trust: TlsTrust) -> Callable[[IStreamClientEndpoint], IStreamClientEndpoint]:
    """Makes of an endpoint one with TLS to ``host``; raises ``ConfigurationError`` for a bad CA file."""
    creator: IOpenSSLClientConnectionCreator = Unverified(host)
    if trust.verify:
        creator = Verified(host, refused, roots=authorities(trust.authority) if trust.authority else None)
    return lambda endpoint: TlsEndpoint(endpoint, creator, refused)


def refused(fault: Fault) -> EgtunnelError:
    """The error of a local service; its text names no host, since visitors see it."""
    if fault.kind is FaultKind.OTHER:
        return UpstreamRefused(f"TLS: {fault.more}")
    return UpstreamRefused(f"TLS: {fault.kind.value}")


@implementer(IOpenSSLClientConnectionCreator)
class Verified:
    """TLS 1.2 or newer with a far side that proves to be ``host``, which is a DNS name or an address.

    :param roots: whom to believe; None: the system's authorities.
    :param own: what to show where the far side asks for a certificate.
    :param protocols: offered by ALPN (RFC 7301), the best first.
    """

    def __init__(
        self,
        host: str,
        wording: Wording,
        *,
        roots: Any = None,
        own: OwnCertificate | None = None,
        protocols: Sequence[bytes] = (),
    ) -> None:
        options = CertificateOptions(trustRoot=roots or platformTrust(), **(own.options() if own else {}))
        self._context = options.getContext()
        self._host = host
        self._wording = wording
        self._protocols = list(protocols)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = _connection(self._context, self._host)
        if self._protocols:
            connection.set_alpn_protos(self._protocols)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._judge(tlsProtocol))
        return connection

    def _judge(self, transport: TLSMemoryBIOProtocol) -> Callable[[Any, crypto.X509, int, int, int], bool]:
        """What OpenSSL asks for each certificate of the chain, from the authority down to the far side's own."""

        def judge(_: Any, certificate: crypto.X509, code: int, depth: int, good: int) -> bool:
            fault, shown = None, certificate.to_cryptography()
            if not good:
                fault = fault_of_certificate(code, shown, depth)
            elif depth == 0 and not is_for(self._host, shown):
                fault = wrong_name(names_of(shown))
            if fault is not None:
                transport.failVerification(Failure(self._wording(fault)))
            return fault is None

        return judge


@implementer(IOpenSSLClientConnectionCreator)
class Unverified:
    """TLS that names the host (SNI) and believes any certificate: only ever by the user's own option."""

    def __init__(self, host: str) -> None:
        self._context = CertificateOptions(verify=False).getContext()
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return _connection(self._context, self._host)


def _connection(context: SSL.Context, host: str) -> SSL.Connection:
    connection = SSL.Connection(context, None)
    if not is_address(host):  # RFC 6066 section 3: no addresses in SNI
        connection.set_tlsext_host_name(host.encode("ascii"))
    return connection


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """Connected means the handshake is over: before that a certificate can still turn out to be the wrong one."""

    def __init__(
        self, endpoint: IStreamClientEndpoint, creator: IOpenSSLClientConnectionCreator, wording: Wording
    ) -> None:
        self._endpoint = endpoint
        self._creator = creator
        self._wording = wording

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        handshakes: list[Handshake] = []

        def cancel(_: Deferred[IProtocol]) -> None:
            connecting.cancel()
            for handshake in handshakes:
                handshake.give_up()

        def build() -> Handshake:
            handshakes.append(Handshake(factory, shaken))
            return handshakes[-1]

        def failed(reason: Failure) -> None:
            if not shaken.called:
                shaken.errback(reason)

        shaken: Deferred[IProtocol] = Deferred(cancel)
        handshaking = Factory.forProtocol(build)
        handshaking.noisy = False
        connecting = self._endpoint.connect(EagerTlsFactory(self._creator, True, handshaking))
        connecting.addErrback(failed)
        return shaken.addErrback(self._worded)

    def _worded(self, reason: Failure) -> Failure:
        if not isinstance(reason.value, SSL.Error):
            return reason
        words = openssl_words(reason.value)
        return Failure(self._wording(fault_in(words) or Fault(FaultKind.OTHER, words)))


@implementer(IHandshakeListener)
class Handshake(Protocol):
    """Holds the place of the real protocol until the TLS handshake is over, then leaves it to that."""

    def __init__(self, factory: IProtocolFactory, shaken: Deferred[IProtocol]) -> None:
        self._factory = factory
        self._shaken = shaken

    def handshakeCompleted(self) -> None:
        transport: Any = self.transport
        if self._shaken.called:
            transport.abortConnection()
            return
        protocol: Any = self._factory.buildProtocol(transport.getPeer())
        transport.wrappedProtocol = protocol
        protocol.makeConnection(transport)
        self._shaken.callback(protocol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._shaken.called:
            self._shaken.errback(reason)

    def give_up(self) -> None:
        """Nobody waits for this connection any more."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()
