"""TLS on a TCP transport without detours: the one place that reaches into Twisted's TLS transport.

Twisted's own collects small writes for a loop turn, cuts all into single records on their way to the socket, and hands
what came in over record by record. Here what is written leaves at once and in one piece, and what one read of the
socket brought comes in one piece: for bulk that is fewer calls a byte, for small things a loop turn less each way.
Who writes should write as much at once as it has.
"""

from __future__ import annotations

from OpenSSL.SSL import Error, WantReadError, ZeroReturnError
from twisted.internet.interfaces import ITransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from egtunnel.eager import BULK, READ, write_now

__all__ = ["EagerTls", "EagerTlsFactory"]

RECORD = 16_384
"""The most that one TLS record carries, bytes (RFC 8446 section 5.1)."""
OVERHEAD = 64
"""More than a record adds to what it carries, in any cipher that is spoken, bytes."""
LEAST = 4096
"""What is looked for at least, bytes: messages of a handshake wait beside data."""


class EagerTls(TLSMemoryBIOProtocol):
    """The transport of one TLS connection, either side's."""

    def makeConnection(self, transport: ITransport) -> None:
        """Read much at once: the records in it are opened together."""
        transport.bufferSize = READ  # type: ignore[attr-defined]
        super().makeConnection(transport)

    def abortConnection(self) -> None:
        """End at once; on a connection that is gone already it does nothing."""
        if self._tlsConnection is not None:
            super().abortConnection()

    def _write(self, bytes: bytes) -> None:
        if self._lostTLSConnection:
            return
        view, sent = memoryview(bytes), 0
        send = self._tlsConnection.send
        try:
            while sent < len(view):
                sent += send(view[sent : sent + RECORD])
        except WantReadError:
            self._bufferedWrite(view[sent:].tobytes())
        except Error:
            self._tlsShutdownFinished(Failure())
            return
        self._flush(sent + sent // RECORD * OVERHEAD + LEAST)

    def _flushSendBIO(self) -> None:
        self._flush(RECORD)

    def _flush(self, most: int) -> None:
        """Send what OpenSSL has to send; ``most`` is what is expected, so that one look is enough."""
        while True:
            try:
                data = self._tlsConnection.bio_read(most)
            except WantReadError:
                return
            write_now(self.transport, data, BULK)
            if len(data) < most:
                return

    def _flushReceiveBIO(self) -> None:
        got: list[bytes] = []
        recv = self._tlsConnection.recv
        end: Exception | None = None
        while end is None and not self._lostTLSConnection:
            try:
                got.append(recv(RECORD))
            except (WantReadError, ZeroReturnError, Error) as error:
                end = error
        if got and not self._aborted:
            self.wrappedProtocol.dataReceived(got[0] if len(got) == 1 else b"".join(got))
        if self._tlsConnection is None or self._lostTLSConnection:
            return
        if isinstance(end, ZeroReturnError):
            self._shutdownTLS()
            self._tlsShutdownFinished(None)
        elif end is not None and not isinstance(end, WantReadError):
            self._tlsShutdownFinished(Failure(end))
        else:
            self._flushSendBIO()


class EagerTlsFactory(TLSMemoryBIOFactory):
    """Wraps a factory's protocols in TLS: ``EagerTlsFactory(creator, isClient, factory, reactor)``."""

    protocol = EagerTls
