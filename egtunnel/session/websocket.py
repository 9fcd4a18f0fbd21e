"""Links over WebSocket (RFC 6455): the only file that imports autobahn.

Whole binary frames, nearly all there ever are, take a short way past Autobahn in both directions; everything else, the
handshake, control frames, fragments and every error, is Autobahn's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from struct import Struct
from typing import Any

import attrs
import txaio
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.types import ConnectionDeny
from autobahn.websocket.xormasker import create_xor_masker  # type: ignore[attr-defined]
from twisted.internet.interfaces import IProtocolFactory, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import BULK, READ, tune, write_now
from egtunnel.interfaces import ILink
from egtunnel.session.producer import LinkProducer

__all__ = ["CLOSE_BASE", "SUBPROTOCOL", "LinkLimits", "link_client_factory", "link_server_factory"]

SUBPROTOCOL = "egtunnel.v1"
CLOSE_BASE = 4000
"""A link that ends for a reason of ``egtunnel.errors`` is closed with this plus the error's code."""

BINARY = 0x82  # FIN, no extension, opcode 2
MASKED = 0x80
U16 = Struct("!BBH")
U64 = Struct("!BBQ")
SMALL_MASK = 1024  # below this many bytes one big-integer XOR is faster than a call into the native masker


@attrs.frozen
class LinkLimits:
    """Limits of a link. Sizes in bytes, times in seconds.

    ``stranger``: the longest message of a peer that is not known yet, ``message``: of one that is.
    """

    stranger: int = 16_384
    message: int = 1_048_576
    handshake: float = 10.0
    closing: float = 2.0


def _xor(mask: bytes, data: bytes) -> bytes:
    """``data`` masked or unmasked (RFC 6455 section 5.3)."""
    size = len(data)
    if size >= SMALL_MASK:
        return create_xor_masker(mask, size).process(data)  # type: ignore[no-any-return]
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data, "little") ^ key).to_bytes(size, "little")


class _FastFrames:
    """Takes whole, final, binary frames out of the bytes of a connection.

    ``masked``: whether the peer has to mask. Bytes of a frame that is recognised and not yet complete are kept, at most
    ``longest`` of them, which may be changed at any time.
    """

    __slots__ = ("_have", "_masked", "_need", "_parts", "longest")

    def __init__(self, masked: bool, longest: int) -> None:
        self._masked = MASKED if masked else 0
        self.longest = longest
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 0

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The messages that ``data`` completes, and the rest, which is for Autobahn."""
        if self._have:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return [], b""
            data = b"".join(self._parts)
            self._parts.clear()
            self._have = 0
        messages: list[bytes] = []
        offset, end = 0, len(data)
        while end - offset >= 2:
            found = self._head(data, offset)
            if found is None:
                return messages, data[offset:]
            start, length = found
            stop = start + length
            if stop > end:
                self._parts.append(data[offset:])
                self._have = end - offset
                self._need = stop - offset
                return messages, b""
            payload = data[start:stop]
            messages.append(_xor(data[start - 4 : start], payload) if self._masked else payload)
            offset = stop
        return messages, data[offset:]

    def _head(self, data: bytes, offset: int) -> tuple[int, int] | None:
        """Where the payload of the frame at ``offset`` starts and its length; None if it is not ours to read."""
        if data[offset] != BINARY or data[offset + 1] & MASKED != self._masked:
            return None
        length = data[offset + 1] & 0x7F
        head = 2 + (2 if length == 126 else 8 if length == 127 else 0) + (4 if self._masked else 0)
        if len(data) - offset < head:
            return None
        if length == 126:
            length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        elif length == 127:
            length = int.from_bytes(data[offset + 2 : offset + 10], "big")
        return None if length > self.longest else (offset + head, length)


def _frame_head(length: int, mask: int) -> bytes:
    if length < 126:
        return bytes((BINARY, mask | length))
    if length < 65_536:
        return U16.pack(BINARY, mask | 126, length)
    return U64.pack(BINARY, mask | 127, length)


@implementer(ILink, IPushProducer)
class _LinkProtocol(LinkProducer):
    """What both ends of a WebSocket link share; mixed into Autobahn's protocols, which speak camelCase."""

    factory: Any
    peer: str = ""
    kind = "WebSocket"
    stream = False
    _reads_masked: bool
    _fast: _FastFrames | None = None
    _said: str = ""

    # -- ILink

    @property
    def secure(self) -> bool:
        """Whether the connection itself is encrypted."""
        return hasattr(self.transport, "getPeerCertificate")

    def send(self, frames: list[bytes | memoryview]) -> None:
        """One binary message; Autobahn's own way costs several times as much."""
        this: Any = self
        if this.state != this.STATE_OPEN:
            return
        if self._reads_masked:
            size = sum(map(len, frames))
            write_now(self.transport, b"".join((_frame_head(size, 0), *frames)), BULK)
        else:
            payload = b"".join(frames)
            mask = os.urandom(4)
            write_now(self.transport, b"".join((_frame_head(len(payload), MASKED), mask, _xor(mask, payload))), BULK)

    def admitted(self) -> None:
        """The peer is known: messages up to the full limit are read."""
        this: Any = self
        this.maxFramePayloadSize = this.maxMessagePayloadSize = self.factory.limits.message
        if self._fast is not None:
            self._fast.longest = self.factory.limits.message

    def close(self, code: int, text: str) -> None:
        """Start the closing handshake; Autobahn ends the connection if the peer does not answer."""
        this: Any = self
        self.receiver = None
        reason = text.encode()[:120].decode("utf-8", "ignore")
        this.sendClose(CLOSE_BASE + code, reason)

    def abort(self) -> None:
        """End at once."""
        self.receiver = None
        self.transport.abortConnection()

    # -- Autobahn's callbacks

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the connection, whole binary messages first while Autobahn is not within a frame."""
        this: Any = self
        fast = self._fast
        if fast is not None and not this.data and this.current_frame is None and not this.inside_message:
            messages, data = fast.split(data)
            for message in messages:
                if self.receiver is not None and this.state == this.STATE_OPEN:
                    self.receiver.link_message(message)
            if not data:
                return
        super().dataReceived(data)  # type: ignore[misc]

    def onOpen(self) -> None:
        """The handshake is done."""
        tune(self.transport, unsent=0, read=READ)  # what is under way here is bounded by the peer's ACKs
        self._fast = _FastFrames(self._reads_masked, self.factory.limits.stranger)
        self.transport.registerProducer(self, True)
        self.factory.on_link(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message that came the long way."""
        this: Any = self
        if not isBinary:
            this.sendClose(CLOSE_BASE + 3, "binary messages only")
        elif self.receiver is not None:
            self.receiver.link_message(payload)

    def _connectionLost(self, reason: Failure) -> None:
        self._said = reason.getErrorMessage()
        super()._connectionLost(reason)  # type: ignore[misc]

    def _closeConnection(self, abort: bool = False) -> None:
        self.transport.unregisterProducer()  # or loseConnection would wait for it for ever
        super()._closeConnection(abort)  # type: ignore[misc]

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone, or never became a WebSocket."""
        receiver, self.receiver = self.receiver, None
        text = reason or self._said or "connection closed"
        if receiver is not None:
            receiver.link_lost(text)
        elif self._fast is None:
            self.factory.on_failed(text, getattr(self, "http_headers", {}).get("x-egtunnel-error", ""))


class _ServerLink(_LinkProtocol, WebSocketServerProtocol):  # type: ignore[misc]
    _reads_masked = True

    def onConnect(self, request: Any) -> str:
        """Take our subprotocol or nothing."""
        if SUBPROTOCOL not in request.protocols:
            raise ConnectionDeny(400, f"the subprotocol {SUBPROTOCOL} is needed")
        return SUBPROTOCOL


class _ClientLink(_LinkProtocol, WebSocketClientProtocol):  # type: ignore[misc]
    _reads_masked = False


def _ignore(*_: str) -> None:
    return None


def _configure(
    factory: Any, on_link: Callable[[Any], None], on_failed: Callable[[str, str], None], limits: LinkLimits
) -> None:
    factory.noisy = False
    factory.on_link = on_link
    factory.on_failed = on_failed
    factory.limits = limits
    factory.setProtocolOptions(
        maxFramePayloadSize=limits.stranger,
        maxMessagePayloadSize=limits.stranger,
        openHandshakeTimeout=limits.handshake,
        closeHandshakeTimeout=limits.closing,
        autoPingInterval=0,
        failByDrop=False,
        tcpNoDelay=True,
    )


def link_server_factory(on_link: Callable[[ILink], None], limits: LinkLimits, clock: IReactorTime) -> IProtocolFactory:
    """Makes the relay's end of links; the connections are handed to it with the upgrade request still to be read."""
    txaio.use_twisted()
    txaio.config.loop = clock  # type: ignore[attr-defined]  # Autobahn's timers go by this alone
    factory = WebSocketServerFactory(protocols=[SUBPROTOCOL], reactor=clock)
    factory.protocol = _ServerLink
    _configure(factory, on_link, _ignore, limits)
    factory.setProtocolOptions(
        allowedOrigins=[],
        allowNullOrigin=False,
        webStatus=False,
        versions=[13],
        serveFlashSocketPolicy=False,
        requireMaskedClientFrames=True,
    )
    return factory


def link_client_factory(
    url: str,
    on_link: Callable[[ILink], None],
    on_failed: Callable[[str, str], None],
    limits: LinkLimits,
    clock: IReactorTime,
    headers: dict[str, str] | None = None,
) -> IProtocolFactory:
    """Makes the client's end of links to ``url``; ``on_failed`` is told why a connection did not become a link.

    Its second argument is the word of the relay's refusal (``X-Egtunnel-Error``), "" where none came.
    """
    txaio.use_twisted()
    txaio.config.loop = clock  # type: ignore[attr-defined]
    factory = WebSocketClientFactory(url, protocols=[SUBPROTOCOL], headers=headers or {}, reactor=clock)
    factory.protocol = _ClientLink
    _configure(factory, on_link, on_failed, limits)
    return factory
