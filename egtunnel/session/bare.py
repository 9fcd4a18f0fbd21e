"""Bare links: frames on a TLS connection with nothing around them (docs/protocol.md, section "Link")."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import READ, tune, write_now
from egtunnel.interfaces import ILink
from egtunnel.mux.frames import HEADER, HEADER_SIZE, FrameType
from egtunnel.session.producer import LinkProducer
from egtunnel.session.websocket import LinkLimits

__all__ = ["BareLink"]

FIRST = frozenset({FrameType.MESSAGE, FrameType.GOAWAY})
"""What either side may say first."""


@implementer(ILink, IPushProducer)
class BareLink(LinkProducer, Protocol):
    """Either end of a link over a connection whose TLS handshake is over and has chosen ``egtunnel/1``.

    Until the peer is known its frames are handed on one by one, and only short ones are waited for; from then on
    whatever a read brings is handed on as it is, and the session finds the frames in it.

    :param on_link: told of the link as soon as it is connected.
    :param peer: the other end's address, for logs.
    """

    kind = "bare TLS"
    secure = True
    stream = True

    def __init__(
        self, on_link: Callable[[ILink], None], limits: LinkLimits, clock: IReactorTime, peer: str = ""
    ) -> None:
        self.peer = peer
        self._on_link = on_link
        self._limits = limits
        self._clock = clock
        self._known = False
        self._closing = False
        self._unread = b""
        self._deadline: IDelayedCall | None = None

    # -- ILink

    def send(self, frames: list[bytes | memoryview]) -> None:
        """All in one write: TLS makes full records of it."""
        if not self._closing:
            write_now(self.transport, b"".join(frames))

    def admitted(self) -> None:
        """The peer is known: hand on what comes as it comes."""
        self._known = True

    def close(self, code: int, text: str) -> None:
        """Flush what was sent and say that it is all; why, the last frame has told.

        The connection is ended if the peer takes too long with its own last word.
        """
        if self._closing:
            return
        self.receiver = None
        self._closing = True
        self._deadline = self._clock.callLater(self._limits.closing, self.transport.abortConnection)
        self.transport.unregisterProducer()  # or loseConnection would wait for it for ever
        self.transport.resumeProducing()  # the peer's last word is to be read
        self.transport.loseConnection()

    def abort(self) -> None:
        """End at once."""
        self.receiver = None
        self._closing = True
        self.transport.abortConnection()

    # -- the connection

    def connectionMade(self) -> None:
        """The handshake of TLS was all there is."""
        tune(self.transport, unsent=0, read=READ)  # what is under way here is bounded by the peer's ACKs
        self.transport.registerProducer(self, True)
        self._on_link(self)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of frames."""
        if not self._known:
            data = self._introduction(self._unread + data)
        if data and self.receiver is not None:
            self.receiver.link_message(data)

    def _introduction(self, data: bytes) -> bytes:
        """Hand frames on until the peer is known; what came after that.

        A frame that is none of those to begin with, or too long, is handed on unfinished: its receiver refuses it.
        """
        while not self._known and self.receiver is not None and len(data) >= HEADER_SIZE:
            kind, _, length, _ = HEADER.unpack_from(data)
            size = HEADER_SIZE + length
            if size > len(data) and kind in FIRST and size <= self._limits.stranger:
                break
            frame, data = data[:size], data[size:]
            self.receiver.link_message(frame)
        if self._known or self.receiver is None:
            self._unread = b""
            return data
        self._unread = data
        return b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.link_lost(reason.getErrorMessage() or "connection closed")
