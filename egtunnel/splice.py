"""Join two transports into one byte stream each way: backpressure, half-close and byte counts included.

``serve`` is what every ingress of raw bytes and the client do: dial what the visitor asked for, then join both ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.eager import write_now
from egtunnel.errors import ChannelClosed, ChannelReset, EgtunnelError, UpstreamBroke
from egtunnel.interfaces import Dialer, Visitor

__all__ = ["Half", "abort", "finish", "join", "serve"]


def finish(transport: Any) -> None:
    """End our direction of ``transport``.

    TLS in Twisted knows no half-close and would pass the call on to TCP below it, which looks like a truncation attack;
    ``loseConnection`` sends the close_notify and still delivers what the far side has to say.
    """
    transport.unregisterProducer()
    half_close = getattr(transport, "loseWriteConnection", None)
    if half_close is None or hasattr(transport, "getPeerCertificate"):
        transport.loseConnection()
    else:
        half_close()


def abort(transport: Any, error: EgtunnelError) -> None:
    """End ``transport`` at once, visibly broken; a channel tells the far side why."""
    reset = getattr(transport, "reset", None)
    if reset is None:
        transport.abortConnection()
    else:
        reset(error)


@implementer(IHalfCloseableProtocol)
class Half(Protocol):
    """One end of a splice: what arrives here is written to the peer's transport.

    ``received`` counts the bytes that arrived. ``lost_as`` is the error that the far side of a channel hears when this
    end breaks. ``leash`` may hold this end (``egtunnel.guard.Leash``).
    """

    def __init__(self, lost_as: type[ChannelReset] = ChannelClosed) -> None:
        self.lost_as = lost_as
        self.peer: Half | None = None
        self.dialing: Deferred[Any] | None = None
        self.received = 0
        self.read_ended = False
        self.write_ended = False
        self.lost = False
        self.leash: Any = None
        self._early: list[bytes] = []

    def cut_off(self, error: EgtunnelError) -> None:
        """What let it in is over."""
        abort(self.transport, error)

    def break_off(self, error: EgtunnelError) -> None:
        """There is no way on, or none any more."""
        abort(self.transport, error)

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        if self.peer is None:
            self._early.append(data)  # bounded: the transport was paused before, so at most one read comes
        else:
            write_now(self.peer.transport, data)

    def readConnectionLost(self) -> None:
        self.read_ended = True
        if self.peer is not None and not self.peer.lost:
            finish(self.peer.transport)
        self._end_if_over()

    def writeConnectionLost(self) -> None:
        """Our own half-close has left; the other direction goes on."""
        self.write_ended = True
        self._end_if_over()

    def _end_if_over(self) -> None:
        """Both directions have ended: Twisted leaves it to us to close a socket then, and never looks at it again."""
        if self.read_ended and self.write_ended and not self.lost:
            self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        if self.leash is not None:
            self.leash.let_go(self)
        if self.dialing is not None:
            self.dialing.cancel()
        peer, self.peer = self.peer, None
        if peer is None or peer.lost:
            return
        peer.transport.unregisterProducer()  # type: ignore[union-attr]
        if reason.check(ConnectionDone):
            peer.transport.loseConnection()  # type: ignore[union-attr]
        else:
            peer.break_off(self._loss(reason))

    def _loss(self, reason: Failure) -> EgtunnelError:
        return reason.value if isinstance(reason.value, EgtunnelError) else self.lost_as()

    def replay(self) -> None:
        """Hand the peer what arrived before there was one."""
        early, self._early = self._early, []
        if early and self.peer is not None:
            self.peer.transport.writeSequence(early)  # type: ignore[union-attr]


def join(left: Half, right: Half) -> None:
    """Let everything that arrives at one half leave at the other; each side's transport must be connected."""
    left.peer, right.peer = right, left
    for half, other in ((left, right), (right, left)):
        transport: Any = half.transport
        transport.registerProducer(other.transport, True)
    for half, other in ((left, right), (right, left)):
        half.replay()
        if half.read_ended:
            finish(other.transport)


def serve(half: Half, visitor: Visitor, dialer: Dialer, far: Callable[[], Half] | None = None) -> Deferred[None]:
    """Dial for ``visitor`` and join; ``half`` is connected already, ``far`` makes the other end.

    Fires once joined; a failure has ended ``half``.
    """
    transport: Any = half.transport
    transport.pauseProducing()

    def connected(other: Half) -> None:
        half.dialing = None
        if half.lost:
            abort(other.transport, ChannelClosed())
            return
        join(half, other)
        transport.resumeProducing()

    def failed(reason: Failure) -> None:
        half.dialing = None
        if not half.lost:
            half.break_off(reason.value if isinstance(reason.value, EgtunnelError) else UpstreamBroke())
        if not reason.check(CancelledError):
            reason.raiseException()

    factory = Factory.forProtocol(far or (lambda: Half(UpstreamBroke)))
    factory.noisy = False
    dialing: Deferred[Any] = dialer(visitor).connect(factory)
    half.dialing = dialing
    return dialing.addCallbacks(connected, failed)
