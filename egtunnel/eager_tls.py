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

from egtunnel.eager import BULK, write_now
from egtunnel.tls_records import PIECE, RECORDS

__all__ = ["EagerTls", "EagerTlsFactory"]


class EagerTls(TLSMemoryBIOProtocol):
    """The transport of one TLS connection, either side's."""

    records = RECORDS

    @property
    def bufferSize(self) -> int:
        """Bytes of one read below; the records in it are opened together."""
        size: int = vars(self)["transport"].bufferSize
        return size

    @bufferSize.setter
    def bufferSize(self, size: int) -> None:
        vars(self)["transport"].bufferSize = size

    def makeConnection(self, transport: ITransport) -> None:
        """Connected."""
        super().makeConnection(transport)
        self.records.prepare(self._tlsConnection)

    def abortConnection(self) -> None:
        """End at once; on a connection that is gone already it does nothing."""
        if self._tlsConnection is not None:
            super().abortConnection()

    def _write(self, bytes: bytes) -> None:
        connection, seal, sent = self._tlsConnection, self.records.seal, 0
        if self._lostTLSConnection:
            return
        try:
            if len(bytes) <= PIECE:
                sent = seal(connection, bytes)
            while sent < len(bytes):
                sent += seal(connection, memoryview(bytes)[sent : sent + PIECE])
                self._flushSendBIO()
        except WantReadError:
            self._bufferedWrite(bytes[sent:])
        except Error:
            self._tlsShutdownFinished(Failure())
            return
        self._flushSendBIO()

    def _flushSendBIO(self) -> None:
        for data in self.records.drain(self._tlsConnection):
            write_now(self.transport, data, BULK)

    def _flushReceiveBIO(self) -> None:
        if self._lostTLSConnection:
            self._flushSendBIO()
            return
        data, end = self.records.unseal(self._tlsConnection)
        if data and not self._aborted:
            self.wrappedProtocol.dataReceived(data)
        if self._tlsConnection is None or self._lostTLSConnection:
            return
        if isinstance(end, ZeroReturnError):
            self._shutdownTLS()
            self._tlsShutdownFinished(None)
        elif end is not None:
            self._tlsShutdownFinished(Failure(end))
        else:
            self._flushSendBIO()


class EagerTlsFactory(TLSMemoryBIOFactory):
    """Wraps a factory's protocols in TLS: ``EagerTlsFactory(creator, isClient, factory, reactor)``."""

    protocol = EagerTls
