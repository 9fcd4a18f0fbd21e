"""A stream as the transport of one end of a splice: the bytes of a WebSocket in DATA frames (RFC 8441 section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from egtunnel.splice import Half

__all__ = ["StreamTransport"]


class StreamTransport:
    """What ``Half`` asks of a transport; ``stream`` carries the bytes."""

    __slots__ = ("_half", "_producer", "_read_ended", "_stream", "_write_ended", "disconnecting")

    def __init__(self, stream: Any, half: Half) -> None:
        self._stream = stream
        self._half = half
        self._producer: Any = None
        self._read_ended = self._write_ended = False
        self.disconnecting = False

    # -- for the half

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._write_ended and not self.disconnecting:
            self._stream.send_body(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send bytes."""
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Pause this producer while the visitor takes too little."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Nobody is paused any more."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Let the visitor send no more than it has credit for."""
        self._stream.pause_request()

    def resumeProducing(self) -> None:
        """Give credit again."""
        self._stream.resume_request()

    def loseWriteConnection(self) -> None:
        """End our direction."""
        if not self.disconnecting:
            self.disconnecting = True
            self._stream.end_response()

    def loseConnection(self) -> None:
        """End our direction once all has left; the stream ends with the visitor's."""
        self.loseWriteConnection()

    def abortConnection(self) -> None:
        """Reset the stream."""
        self._stream.reset()

    # -- for the stream

    @property
    def is_over(self) -> bool:
        """Whether both directions have ended."""
        return self._read_ended and self._write_ended

    def receive(self, data: bytes) -> None:
        """Bytes of the visitor's."""
        self._half.dataReceived(data)

    def ended(self) -> None:
        """The visitor sends no more."""
        self._read_ended = True
        self._half.readConnectionLost()

    def write_ended(self) -> None:
        """All of ours has left."""
        self._write_ended = True
        self._half.writeConnectionLost()

    def pause(self) -> None:
        """The visitor takes too little."""
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume(self) -> None:
        """The visitor takes more."""
        if self._producer is not None:
            self._producer.resumeProducing()

    def done(self) -> None:
        """Both directions ended well."""
        self._half.connectionLost(Failure(ConnectionDone()))

    def lost(self) -> None:
        """The stream was broken off."""
        self._half.connectionLost(Failure(ConnectionLost()))
