"""TLS towards a local service: verified against the system's authorities, a named file, or not at all."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.errors import ConfigurationError

__all__ = ["TlsTrust", "over_tls"]

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


@attrs.frozen
class TlsTrust:
    """Whom to believe: ``authority`` is a PEM file (empty: the system's); with ``verify`` off, anybody."""

    authority: str = ""
    verify: bool = True


def over_tls(endpoint: IStreamClientEndpoint, host: str, trust: TlsTrust) -> IStreamClientEndpoint:
    """``endpoint`` with TLS and a certificate for ``host``; raises ``ConfigurationError`` for a bad CA file."""
    return TlsEndpoint(wrapClientTLS(_creator(host, trust), endpoint))


def _creator(host: str, trust: TlsTrust) -> IOpenSSLClientConnectionCreator:
    if not trust.verify:
        return Unverified(host)
    roots = _authorities(trust.authority) if trust.authority else None
    creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(host, trustRoot=roots)
    return creator


def _authorities(file: str) -> Any:
    try:
        blocks = _CERTIFICATE.findall(Path(file).read_bytes())
        certificates = [Certificate.loadPEM(block) for block in blocks]
    except (OSError, crypto.Error, ValueError) as error:
        raise ConfigurationError(f"CA file {file}: {error}") from error
    if not certificates:
        raise ConfigurationError(f"CA file {file}: it holds no PEM certificate")
    return trustRootFromCertificates(certificates)


@implementer(IOpenSSLClientConnectionCreator)
class Unverified:
    """TLS that names the host (SNI) and believes any certificate: only ever by the user's own option."""

    def __init__(self, host: str) -> None:
        self._context = CertificateOptions(verify=False).getContext()
        self._server_name = b"" if _is_address(host) else host.encode("ascii")

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self._server_name:
            connection.set_tlsext_host_name(self._server_name)
        return connection


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """Connected means the handshake is over: before that a certificate can still turn out to be the wrong one."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

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
        connecting = self._endpoint.connect(handshaking)
        connecting.addErrback(failed)
        return shaken


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
