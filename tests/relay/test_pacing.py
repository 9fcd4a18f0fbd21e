"""A way to an upstream that is paced, over in-memory transports."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from egtunnel.limits.gate import Gate
from egtunnel.relay.pacing import PacedRoute
from egtunnel.splice import Half

RATE = 1_000_000


class Channel:
    """The channel's side: what was written, and whether it is read."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.paused = 0
        self.producer: Any = None
        self.ended: list[str] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.paused += 1

    def resumeProducing(self) -> None:
        self.paused -= 1

    def loseConnection(self) -> None:
        self.ended.append("lost")

    def loseWriteConnection(self) -> None:
        self.ended.append("half")


class Producer:
    """Somebody who writes into the channel."""

    def __init__(self) -> None:
        self.paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.paused = True


class World:
    """A visitor's half at the far end of a paced channel."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.inward, self.outward = (Gate(RATE, self.clock.seconds, self.clock.callLater) for _ in range(2))
        self.channel = Channel()
        self.paced: Any = None
        self.half = self._connect()
        self.transport: Any = self.half.transport
        self.half.peer = Half()
        self.half.peer.transport = Channel()  # type: ignore[assignment]

    server = None
    elsewhere = False

    def connect(self, factory: Any) -> Deferred[Any]:
        self.paced = factory.buildProtocol(None)
        self.paced.makeConnection(self.channel)
        return succeed(self.paced)

    def _connect(self) -> Half:
        route: Any = self
        found: list[Any] = []
        PacedRoute(route, self.inward, self.outward).connect(Factory.forProtocol(Half)).addCallback(found.append)
        assert isinstance(found[0], Half)
        return found[0]

    @property
    def got(self) -> int:
        """Bytes that the visitor has got."""
        return self.half.received


def test_what_visitors_get_is_paced() -> None:
    """The channel is not read while more is not allowed; nothing is held back."""
    world = World()
    sent = 0
    for _ in range(1000):
        while not world.channel.paused:
            world.paced.dataReceived(bytes(10_000))
            sent += 10_000
        world.clock.advance(0.01)
    assert world.got == sent
    assert sent == pytest.approx(10 * RATE, rel=0.01)


def test_what_visitors_send_is_paced() -> None:
    """Who writes is paused; what it writes all the same goes on at once."""
    world = World()
    producer = Producer()
    world.transport.registerProducer(producer, True)
    sent = 0
    for _ in range(1000):
        while not producer.paused:
            world.transport.writeSequence([bytes(5_000), bytes(5_000)])
            sent += 10_000
        world.clock.advance(0.01)
    assert len(world.channel.written) == sent
    assert sent == pytest.approx(10 * RATE, rel=0.01)


def test_pauses_of_gate_and_of_users_add_up() -> None:
    """It goes on when neither wants it to stand still."""
    world = World()
    world.paced.dataReceived(bytes(RATE))
    assert world.channel.paused == 1
    world.transport.pauseProducing()
    world.clock.advance(5)
    assert world.channel.paused == 1
    world.transport.resumeProducing()
    assert world.channel.paused == 0
    producer = Producer()
    world.transport.registerProducer(producer, True)
    world.transport.write(bytes(RATE))
    world.channel.producer.pauseProducing()
    world.clock.advance(5)
    assert producer.paused
    world.channel.producer.resumeProducing()
    assert not producer.paused


def test_a_writer_that_comes_while_the_gate_is_shut_waits() -> None:
    """As the one before it would have."""
    world = World()
    world.transport.write(bytes(RATE))
    producer = Producer()
    world.transport.registerProducer(producer, True)
    assert producer.paused
    world.clock.advance(5)
    assert not producer.paused


def test_ends_go_through_and_nothing_waits_at_a_gate() -> None:
    """Half-close each way, and the loss of the connection."""
    world = World()
    world.paced.readConnectionLost()
    assert world.half.read_ended
    world.transport.loseWriteConnection()
    world.paced.writeConnectionLost()
    assert world.half.write_ended and world.channel.ended[0] == "half"
    world.paced.dataReceived(bytes(2 * RATE))
    world.transport.write(bytes(2 * RATE))
    assert (world.inward.waiting, world.outward.waiting) == (1, 1)
    world.paced.connectionLost(Failure(ConnectionDone()))
    assert (world.inward.waiting, world.outward.waiting) == (0, 0)
    assert world.half.lost and not world.clock.getDelayedCalls()
