"""The client's half of the handshake on one link: say hello, wait for welcome or a refusal."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from egtunnel.errors import EgtunnelError, HandshakeError, LinkLost, Refused, error_for_code
from egtunnel.interfaces import ILink, ILinkReceiver
from egtunnel.mux.frames import HEADER_SIZE, U32_U16, FrameDecoder, FrameType
from egtunnel.mux.frames import encode as encode_frame
from egtunnel.session.messages import Hello, RefusedMessage, Welcome, decode, encode

__all__ = ["Greeting", "GreetingLimits", "greet", "plain"]

TEXT_LENGTH = 300


@attrs.frozen
class GreetingLimits:
    """``welcome``: seconds a relay has to answer the hello."""

    welcome: float = 10.0


def plain(text: str) -> str:
    """A text of the relay's, made harmless for a terminal: one line, printable, not long."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:TEXT_LENGTH])


def greet(link: ILink, hello: Hello, clock: IReactorTime, limits: GreetingLimits) -> Deferred[tuple[Welcome, bytes]]:
    """Say hello on ``link``; fires with the welcome and the frames that came after it in the same message.

    Fails with ``Refused``, ``HandshakeError`` (late, or not what the protocol asks), or ``LinkLost``; the link has been
    ended then. Cancelling ends the link, too.
    """
    return Greeting(link, hello, clock, limits).answered


@implementer(ILinkReceiver)
class Greeting:
    """Receives from a link until the relay has answered the hello."""

    def __init__(self, link: ILink, hello: Hello, clock: IReactorTime, limits: GreetingLimits) -> None:
        self.answered: Deferred[tuple[Welcome, bytes]] = Deferred(lambda _: self._end())
        self._link = link
        self._timer = clock.callLater(limits.welcome, self._late, limits.welcome)
        link.receiver = self
        link.send([encode_frame(FrameType.MESSAGE, 0, encode(hello))])

    def link_message(self, data: bytes) -> None:
        """The relay's answer."""
        frames, fault = FrameDecoder().feed(data)
        if not frames:
            self._fail(fault or HandshakeError("the relay's answer is not a whole frame"))
            return
        first = frames[0]
        if first.type == FrameType.GOAWAY:
            self._fail(
                error_for_code(U32_U16.unpack_from(first.payload)[1], first.payload[6:].decode("utf-8", "replace"))
            )
        elif first.type != FrameType.MESSAGE:
            self._fail(HandshakeError("the relay did not answer the hello with a message"))
        else:
            self._message(first.payload, data[HEADER_SIZE + len(first.payload) :])

    def _message(self, payload: bytes, rest: bytes) -> None:
        try:
            message = decode(payload)
        except HandshakeError as error:
            self._fail(error)
            return
        if isinstance(message, Welcome):
            self._timer.cancel()
            self.answered.callback((message, rest))
        elif isinstance(message, RefusedMessage):
            self._fail(Refused(message.code, plain(message.text), retry=message.retry, after=message.after))
        else:
            self._fail(HandshakeError(f"the relay answered the hello with {plain(message.type)}"))

    def link_paused(self) -> None:
        """The hello is all we send; it fits."""

    def link_resumed(self) -> None:
        """Nothing waits."""

    def link_lost(self, reason: str) -> None:
        """The link went before the relay answered."""
        self._fail(LinkLost(plain(reason)))

    def _late(self, seconds: float) -> None:
        self._fail(HandshakeError(f"the relay did not answer the hello within {seconds:g} seconds"))

    def _fail(self, error: EgtunnelError) -> None:
        self._end()
        if not self.answered.called:
            self.answered.errback(error)

    def _end(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        self._link.abort()
