"""The way to an upstream whose bytes are paced: both directions of all connections of a tunnel share their gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IProtocolFactory, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.interfaces import IMovable, IRoute
from egtunnel.limits.gate import Gate

__all__ = ["PacedRoute"]


@implementer(IRoute)
class PacedRoute:
    """``inward``: the gate of what visitors send, ``outward``: of what they get; None: not paced.

    ``over``: is called at the end of each connection.
    """

    __slots__ = ("_inward", "_outward", "_over", "_route")

    def __init__(
        self, route: IRoute, inward: Gate | None, outward: Gate | None, over: Callable[[], None] | None = None
    ) -> None:
        self._route = route
        self._inward = inward
        self._outward = outward
        self._over = over

    @property
    def server(self) -> Any:
        """As of the route."""
        return self._route.server

    @property
    def elsewhere(self) -> bool:
        """As of the route."""
        return bool(self._route.elsewhere)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """As of the route; the protocol has a transport that is paced."""
        connecting: Deferred[Any] = self._route.connect(
            _Factory(protocolFactory, self._inward, self._outward, self._over)
        )
        return connecting.addCallback(lambda paced: paced.protocol)


@implementer(IProtocolFactory)
class _Factory:
    """Puts a paced end between the channel and each protocol."""

    __slots__ = ("_factory", "_inward", "_outward", "_over")

    def __init__(
        self, factory: IProtocolFactory, inward: Gate | None, outward: Gate | None, over: Callable[[], None] | None
    ) -> None:
        self._over = over
        self._factory = factory
        self._inward = inward
        self._outward = outward

    def buildProtocol(self, addr: Any) -> Any:
        """None, if nobody wants it."""
        protocol = self._factory.buildProtocol(addr)
        return None if protocol is None else _Paced(protocol, self._inward, self._outward, self._over)

    def doStart(self) -> None:
        """As of the factory."""
        self._factory.doStart()

    def doStop(self) -> None:
        """As of the factory."""
        self._factory.doStop()


@implementer(IProtocol, IHalfCloseableProtocol, IMovable)
class _Paced:
    """A protocol as its channel sees it: what comes is passed on, and paid for at the gate."""

    __slots__ = ("_gate", "_inward", "_outward", "_over", "_transport", "factory", "protocol")

    def __init__(
        self, protocol: Any, inward: Gate | None, outward: Gate | None, over: Callable[[], None] | None
    ) -> None:
        self._over = over
        self.protocol = protocol
        self.factory: Any = None
        self._inward = inward
        self._outward = outward
        self._transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """Connected."""
        self._transport = _Transport(transport, self._inward)
        self.protocol.makeConnection(self._transport)

    def connectionMade(self) -> None:
        """Nothing: ``makeConnection`` did it all."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes for the visitor."""
        self.protocol.dataReceived(data)
        if self._outward is not None:
            self._outward.read(self._transport.reading, len(data))

    def readConnectionLost(self) -> None:
        """No more will come."""
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self._transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our own end has left."""
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()

    def move(self) -> None:
        """The far side is not heard for now."""
        if IMovable.providedBy(self.protocol):
            self.protocol.move()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over: nothing of it waits at a gate."""
        if self._outward is not None:
            self._outward.gone(self._transport.reading)
        if self._inward is not None:
            self._inward.gone(self._transport.writing)
        over, self._over = self._over, None
        if over is not None:
            over()
        self.protocol.connectionLost(reason)


class _Transport:
    """A channel as its protocol sees it: what is written is paid for, and pauses add up.

    All that is not named here is the channel's own.
    """

    def __init__(self, channel: Any, inward: Gate | None) -> None:
        self._channel = channel
        self._inward = inward
        self.reading = _Side(channel.pauseProducing, channel.resumeProducing)
        self.writing = _Side(_nothing, _nothing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def write(self, data: bytes) -> None:
        """Bytes for the upstream."""
        self._channel.write(data)
        if self._inward is not None:
            self._inward.read(self.writing, len(data))

    def writeSequence(self, data: Any) -> None:
        """The same."""
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """``producer`` is paused by the channel and by the gate."""
        self.writing.follow(producer)
        self._channel.registerProducer(_Producer(self.writing, producer), streaming)

    def unregisterProducer(self) -> None:
        """Nobody writes any more."""
        self.writing.follow(None)
        self._channel.unregisterProducer()

    def pauseProducing(self) -> None:
        """Its protocol wants no more for now."""
        self.reading.hold(True)

    def resumeProducing(self) -> None:
        """Its protocol wants more."""
        self.reading.hold(False)

    def stopProducing(self) -> None:
        """Its protocol wants no more at all."""
        self._channel.stopProducing()


class _Side:
    """Whoever is read in one direction: it stands still as long as its user or its gate says so."""

    __slots__ = ("_gated", "_held", "_pause", "_resume")

    def __init__(self, pause: Any, resume: Any) -> None:
        self._pause = pause
        self._resume = resume
        self._held = self._gated = False

    def follow(self, producer: Any) -> None:
        """Somebody else is read from now on; None: nobody."""
        self._held = False
        self._pause, self._resume = (
            (_nothing,) * 2
            if producer is None
            else (
                producer.pauseProducing,
                producer.resumeProducing,
            )
        )
        if self._gated:
            self._pause()

    def hold(self, held: bool) -> None:
        """By its user."""
        before, self._held = self._held or self._gated, held
        self._turn(before)

    def pauseProducing(self) -> None:
        """By its gate."""
        before, self._gated = self._held or self._gated, True
        self._turn(before)

    def resumeProducing(self) -> None:
        """By its gate."""
        before, self._gated = self._held or self._gated, False
        self._turn(before)

    def _turn(self, before: bool) -> None:
        now = self._held or self._gated
        if now and not before:
            self._pause()
        elif before and not now:
            self._resume()


@implementer(IPushProducer)
class _Producer:
    """A producer as the channel sees it."""

    __slots__ = ("_producer", "_side")

    def __init__(self, side: _Side, producer: Any) -> None:
        self._side = side
        self._producer = producer

    def pauseProducing(self) -> None:
        """The channel's buffer is full."""
        self._side.hold(True)

    def resumeProducing(self) -> None:
        """It is not any more."""
        self._side.hold(False)

    def stopProducing(self) -> None:
        """The channel is over."""
        self._producer.stopProducing()


def _nothing() -> None:
    """Nobody is there."""
