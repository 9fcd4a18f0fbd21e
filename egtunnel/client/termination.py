"""TLS that ends at the client: the key of a TLS tunnel is here, and the relay reads nothing of what passes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import alsoProvides, implementer

from egtunnel.client.pem_files import own_certificate
from egtunnel.eager_tls import EagerTlsFactory
from egtunnel.errors import ConfigurationError, UpstreamSlow
from egtunnel.splice import Half

__all__ = ["KeyFiles", "Termination", "TerminationLimits"]

OPTIONS = ("--tls-terminate", "--tls-terminate")


@attrs.frozen
class TerminationLimits:
    """``handshake``: seconds until a visitor's handshake has to be over."""

    handshake: float = 10.0


@attrs.frozen
class KeyFiles:
    """The files of ``--tls-terminate``, PEM: the certificate with its chain, and its key, perhaps in the same file."""

    certificate: str
    key: str

    @property
    def stamps(self) -> tuple[object, ...]:
        """What changes when they do; nothing where one of them is away for the moment."""
        try:
            found = [Path(file).stat() for file in (self.certificate, self.key)]
        except OSError:
            return ()
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)


@implementer(IOpenSSLServerConnectionCreator)
class Termination:
    """Ends the TLS of visitors, with the certificate as its files are now. Raises ConfigurationError if they are bad.

    Files that are bad later are not used; the certificate of before is.

    :param protocols: what the service speaks, for ALPN (RFC 7301).
    """

    log = Logger()

    def __init__(
        self,
        files: KeyFiles,
        clock: IReactorTime,
        protocols: Sequence[bytes] = (b"http/1.1",),
        limits: TerminationLimits | None = None,
    ) -> None:
        self._files = files
        self._clock = clock
        self._protocols = tuple(protocols)
        self._limits = limits or TerminationLimits()
        self._stamps = files.stamps
        self._context = self._made()

    def around(self, half: Half) -> TLSMemoryBIOProtocol:
        """The protocol for a visitor's channel, with ``half`` within; one who does not finish is cut off in time."""
        ending: Any = half
        timer = self._clock.callLater(
            self._limits.handshake, half.break_off, UpstreamSlow("the TLS handshake was not finished in time")
        )

        def over() -> None:
            if timer.active():
                timer.cancel()

        lost = half.connectionLost

        def connection_lost(*reason: Any) -> None:
            over()
            lost(*reason)

        ending.handshakeCompleted = over
        ending.connectionLost = connection_lost
        alsoProvides(half, IHandshakeListener)
        within = Factory.forProtocol(lambda: half)
        within.noisy = False
        nobody: Any = None
        protocol: TLSMemoryBIOProtocol = EagerTlsFactory(self, False, within, self._clock).buildProtocol(nobody)
        return protocol

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """One connection, with the certificate of this moment."""
        stamps = self._files.stamps
        if stamps and stamps != self._stamps:
            self._stamps = stamps
            try:
                self._context = self._made()
            except ConfigurationError as error:
                self.log.warn("the certificate of before goes on: {text}", text=error.text)
        return SSL.Connection(self._context, None)

    def _made(self) -> SSL.Context:
        own = own_certificate(self._files.certificate, self._files.key, OPTIONS)
        context: SSL.Context = CertificateOptions(**own.options(), raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
        context.set_alpn_select_callback(self._choose)
        return context

    def _choose(self, connection: SSL.Connection, offered: list[bytes]) -> Any:
        spoken = [each for each in self._protocols if each in offered]
        return spoken[0] if spoken else SSL.NO_OVERLAPPING_PROTOCOLS
