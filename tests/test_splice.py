"""Two transports joined: everything that arrives at one leaves at the other, and ends the same way."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import ChannelClosed, ClientAway, UpstreamBroke, UpstreamRefused
from egtunnel.interfaces import Visitor
from egtunnel.splice import Half, join, serve

VISITOR = Visitor(kind="tcp", host="192.0.2.1", port=1234)


class Transport(StringTransport):
    """A string transport that knows half-close and reset."""

    half_closed = False
    aborted = False
    error: Any = None
    lossy = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True

    def loseConnection(self) -> None:
        if self.producer is not None:
            raise AssertionError("Twisted would wait for the producer for ever")
        super().loseConnection()


class ChannelLike(Transport):
    def reset(self, error: Exception) -> None:
        self.error = error


class Endpoint:
    """A dialer's endpoint whose outcome the test decides."""

    def __init__(self) -> None:
        self.cancelled = False
        self.connecting: Deferred[Any] = Deferred(lambda _: setattr(self, "cancelled", True))
        self.factory: Any = None

    def connect(self, factory: Any) -> Deferred[Any]:
        self.factory = factory
        return self.connecting

    def reach(self, transport: Transport) -> Half:
        half: Half = self.factory.buildProtocol(None)
        half.makeConnection(transport)
        self.connecting.callback(half)
        return half


class JoinTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.left, self.right = Half(), Half(UpstreamBroke)
        self.left_transport, self.right_transport = ChannelLike(), Transport()
        self.left.makeConnection(self.left_transport)
        self.right.makeConnection(self.right_transport)
        join(self.left, self.right)

    def test_bytes_cross_and_are_counted(self) -> None:
        """What arrives left leaves right and the other way round."""
        self.left.dataReceived(b"to the right")
        self.right.dataReceived(b"to the left")
        self.assertEqual(self.right_transport.value(), b"to the right")
        self.assertEqual(self.left_transport.value(), b"to the left")
        self.assertEqual((self.left.received, self.right.received), (12, 11))

    def test_each_side_is_the_others_producer(self) -> None:
        """A full transport pauses the other side's reading."""
        self.assertIs(self.left_transport.producer, self.right_transport)
        self.assertIs(self.right_transport.producer, self.left_transport)

    def test_half_close_is_passed_on_alone(self) -> None:
        """End of data on the left half-closes the right; the right still sends."""
        self.left.readConnectionLost()
        self.right.writeConnectionLost()
        self.assertTrue(self.right_transport.half_closed)
        self.assertFalse(self.left_transport.half_closed)
        self.right.dataReceived(b"answer")
        self.assertEqual(self.left_transport.value(), b"answer")

    def test_a_socket_whose_two_directions_ended_is_closed(self) -> None:
        """Whichever ends last: Twisted would keep the descriptor for ever."""
        for ends in (
            (self.right.readConnectionLost, self.right.writeConnectionLost),
            (self.right.writeConnectionLost, self.right.readConnectionLost),
        ):
            self.setUp()
            first, last = (getattr(self.right, end.__name__) for end in ends)
            self.right_transport.unregisterProducer()
            first()
            self.assertFalse(self.right_transport.disconnecting)
            last()
            self.assertTrue(self.right_transport.disconnecting)

    def test_tls_has_no_half_close(self) -> None:
        """A TLS transport passes unknown calls on to TCP; it is closed by its own close_notify instead."""
        self.right_transport.getPeerCertificate = lambda: None  # type: ignore[attr-defined]
        self.left.readConnectionLost()
        self.assertFalse(self.right_transport.half_closed)
        self.assertTrue(self.right_transport.disconnecting)

    def test_an_orderly_end_is_an_orderly_end(self) -> None:
        """What was written still leaves."""
        self.right.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.left_transport.disconnecting)
        self.assertIsNone(self.left_transport.error)

    def test_a_break_is_visible_and_named(self) -> None:
        """A channel is reset with what its upstream's end means; a socket is aborted."""
        self.right.connectionLost(Failure(ConnectionLost()))
        self.assertIsInstance(self.left_transport.error, UpstreamBroke)
        self.setUp()
        self.left.connectionLost(Failure(UpstreamRefused()))
        self.assertTrue(self.right_transport.aborted)


class ServeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.endpoint = Endpoint()
        self.half, self.transport = Half(), ChannelLike()
        self.half.makeConnection(self.transport)
        self.dialed: list[Visitor] = []
        self.served = serve(self.half, VISITOR, self.dial)

    def dial(self, visitor: Visitor) -> Any:
        self.dialed.append(visitor)
        return self.endpoint

    def test_nothing_is_read_while_dialing(self) -> None:
        """The visitor waits; what it had sent already is replayed in order."""
        self.assertEqual(self.transport.producerState, "paused")
        self.half.dataReceived(b"one ")
        far = Transport()
        self.endpoint.reach(far)
        self.successResultOf(self.served)
        self.half.dataReceived(b"two")
        self.assertEqual(far.value(), b"one two")
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(self.dialed, [VISITOR])

    def test_an_end_of_data_while_dialing_is_kept(self) -> None:
        """A visitor that half-closed early is half-closed at the upstream too."""
        self.half.dataReceived(b"all")
        self.half.readConnectionLost()
        far = Transport()
        self.endpoint.reach(far)
        self.assertEqual((far.value(), far.half_closed), (b"all", True))

    def test_a_failed_dial_ends_the_visitor_with_the_reason(self) -> None:
        """The error of the dialer is what a channel is reset with."""
        self.endpoint.connecting.errback(Failure(ClientAway()))
        self.failureResultOf(self.served, ClientAway)
        self.assertIsInstance(self.transport.error, ClientAway)

    def test_a_visitor_that_leaves_cancels_the_dial(self) -> None:
        """Nobody is dialed for someone who is gone."""
        self.half.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.endpoint.cancelled)
        self.successResultOf(self.served)

    def test_a_dial_that_answers_too_late_is_hung_up(self) -> None:
        """An endpoint that cannot be cancelled leaves no connection behind."""
        endpoint = Endpoint()
        endpoint.connecting = Deferred()
        half = Half()
        half.makeConnection(ChannelLike())
        served = serve(half, VISITOR, lambda _: endpoint)  # type: ignore[arg-type,return-value]
        half.lost = True
        far = Transport()
        endpoint.reach(far)
        self.successResultOf(served)
        self.assertTrue(far.aborted)

    def test_synchronous_outcomes_work_as_well(self) -> None:
        """An endpoint may fire before connect returns."""
        half = Half()
        half.makeConnection(ChannelLike())
        far = Half(UpstreamBroke)
        far.makeConnection(Transport())

        class Ready:
            def connect(self, factory: Any) -> Deferred[Any]:
                return succeed(far)

        class Broken:
            def connect(self, factory: Any) -> Deferred[Any]:
                return fail(Failure(UpstreamRefused()))

        self.successResultOf(serve(half, VISITOR, lambda _: Ready()))  # type: ignore[arg-type,return-value]
        self.assertIs(half.peer, far)
        other = Half()
        transport = ChannelLike()
        other.makeConnection(transport)
        self.failureResultOf(serve(other, VISITOR, lambda _: Broken()), UpstreamRefused)  # type: ignore[arg-type,return-value]
        self.assertIsInstance(transport.error, UpstreamRefused)
        self.assertNotIsInstance(transport.error, ChannelClosed)
