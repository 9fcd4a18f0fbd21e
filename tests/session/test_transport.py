"""Channels as Twisted transports: backpressure, half-close, ends."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IConsumer, IPushProducer, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from egtunnel.eager import READ, USUAL_READ
from egtunnel.errors import ChannelClosed, ChannelReset, LinkLost, OverBudget, UpstreamBroke, UpstreamRefused
from egtunnel.mux.windows import INITIAL_WINDOW
from egtunnel.session.endpoint import ChannelEndpoint
from egtunnel.session.transport import HIGH_WATER
from tests.pipes import Recorder, SessionPair


class Gauge:
    """A push producer that remembers whether it may produce."""

    def __init__(self) -> None:
        self.running = True
        self.stopped = False

    def pauseProducing(self) -> None:
        self.running = False

    def resumeProducing(self) -> None:
        self.running = True

    def stopProducing(self) -> None:
        self.stopped = True


class Socket(Gauge):
    """One that is a transport, as Twisted's are."""

    def __init__(self) -> None:
        super().__init__()
        self.bufferSize = USUAL_READ


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = SessionPair()
        self.near, self.far, self.near_app, self.far_app = self.pair.channel()

    def test_interfaces(self) -> None:
        """A channel provides what Twisted's applications ask of a transport."""
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, self.near)

    def test_bytes_go_both_ways(self) -> None:
        """Written bytes arrive at the other end in order."""
        self.near.write(b"ping ")
        self.near.writeSequence([b"of ", b"death"])
        self.far.write(b"pong")
        self.pair.carry()
        self.assertEqual(self.far_app.received, b"ping of death")
        self.assertEqual(self.near_app.received, b"pong")

    def test_a_paused_reader_stops_its_sender_at_the_window(self) -> None:
        """The sender's producer is paused, the reader holds one window at most, and all arrives in the end."""
        gauge = Gauge()
        self.near.registerProducer(gauge, True)
        self.far.pauseProducing()
        sent = 0
        while gauge.running:
            self.near.write(b"x" * 10_000)
            sent += 10_000
            self.pair.carry()
        self.assertLessEqual(self.pair.client.waiting, INITIAL_WINDOW)
        self.assertLessEqual(self.pair.relay.waiting, HIGH_WATER + 10_000)
        self.assertEqual(self.far_app.received, b"")
        self.far.resumeProducing()
        self.pair.carry()
        self.assertTrue(gauge.running)
        self.assertEqual(len(self.far_app.received), sent)
        self.assertEqual(self.pair.client.waiting, 0)

    def test_a_stalled_channel_stalls_itself_alone(self) -> None:
        """While one reader is paused for good, a sibling moves ten times the window."""
        self.far.pauseProducing()
        self.near.write(b"x" * (2 * INITIAL_WINDOW))
        sibling, _, _, reader = self.pair.channel()
        for _ in range(10):
            sibling.write(b"y" * INITIAL_WINDOW)
            self.pair.carry()
        self.assertEqual(len(reader.received), 10 * INITIAL_WINDOW)

    def test_pull_producers_are_asked_again_and_again(self) -> None:
        """A pull producer writes a piece whenever there is room, until it unregisters."""
        near = self.near

        class Pull:
            left = 50

            def resumeProducing(self) -> None:
                if self.left == 0:
                    near.unregisterProducer()
                    near.loseConnection()
                else:
                    self.left -= 1
                    near.write(b"z" * 30_000)

            def stopProducing(self) -> None:
                raise AssertionError("was not lost")

        near.registerProducer(Pull(), False)
        self.pair.carry()
        self.assertEqual(len(self.far_app.received), 1_500_000)
        self.assertTrue(self.far_app.read_ended)

    def test_half_close_keeps_the_other_direction(self) -> None:
        """After our end of data the peer still answers; both ends done is an orderly end for both."""
        self.near.write(b"question")
        self.near.loseWriteConnection()
        self.pair.carry()
        self.assertTrue(self.far_app.read_ended)
        self.assertTrue(self.near_app.write_ended)
        self.assertIsNone(self.near_app.lost)
        self.far.write(b"answer")
        self.far.loseWriteConnection()
        self.pair.carry()
        self.assertEqual(self.near_app.received, b"answer")
        for app in (self.near_app, self.far_app):
            self.assertIsInstance(app.error, ConnectionDone)
        self.assertEqual(self.pair.relay.session.channels + self.pair.client.session.channels, 0)

    def test_closing_delivers_everything_first(self) -> None:
        """loseConnection after a large write: the reader, slow as it is, gets all of it and an orderly end."""
        self.far.pauseProducing()
        self.near.write(b"d" * 200_000)
        self.near.loseConnection()
        self.pair.carry()
        self.assertEqual(self.far_app.received, b"")
        self.assertIsNone(self.far_app.lost)
        self.far.resumeProducing()
        self.pair.carry()
        self.assertEqual(len(self.far_app.received), 200_000)
        self.assertIsInstance(self.far_app.error, ConnectionDone)
        self.assertIsInstance(self.near_app.error, ConnectionDone)
        self.assertEqual(self.pair.client.waiting, 0)

    def test_closing_waits_for_the_producer(self) -> None:
        """As in Twisted's own transports, a registered producer ends first."""
        self.near.registerProducer(Gauge(), True)
        self.near.loseConnection()
        self.pair.carry()
        self.assertIsNone(self.near_app.lost)
        self.near.unregisterProducer()
        self.pair.carry()
        self.assertIsInstance(self.near_app.error, ConnectionDone)

    def test_a_reset_says_why_and_drops_what_waits(self) -> None:
        """The peer's protocol is lost with the error that was given."""
        self.far.reset(UpstreamBroke("it broke"))
        self.near.write(b"lost")
        self.pair.carry()
        self.assertIsInstance(self.near_app.error, UpstreamBroke)
        self.assertEqual(str(self.near_app.error), "it broke")
        self.assertIsInstance(self.far_app.error, UpstreamBroke)
        self.assertEqual(self.pair.relay.waiting, 0)

    def test_abort_is_a_reset_without_a_fault(self) -> None:
        """abortConnection tells the peer only that nobody wants the channel any more."""
        self.near.abortConnection()
        self.pair.carry()
        self.assertIsInstance(self.far_app.error, ChannelClosed)
        self.near.write(b"after the end")
        self.near.loseConnection()
        self.near.reset(UpstreamBroke())
        self.pair.carry()
        self.assertEqual(self.pair.relay.ends, [])

    def test_a_failing_protocol_ends_its_channel_alone(self) -> None:
        """An exception in dataReceived is logged and resets that channel; the session goes on."""

        class Bad(Recorder):
            def dataReceived(self, data: bytes) -> None:
                raise ValueError("bug")

        near, _, near_app, far_app = self.pair.channel(Bad)
        near.write(b"boom")
        self.pair.carry()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIsInstance(far_app.error, ChannelReset)
        self.assertIsInstance(near_app.error, ChannelReset)
        self.near.write(b"fine")
        self.pair.carry()
        self.assertEqual(self.far_app.received, b"fine")

    def test_a_protocol_without_half_close_is_lost_at_the_end_of_data(self) -> None:
        """As with TCP in Twisted: end of file is the end for a plain protocol."""

        class Plain(Protocol):
            lost: Any = None
            received = b""

            def dataReceived(self, data: bytes) -> None:
                self.received += data

            def connectionLost(self, reason: Any = None) -> None:
                self.lost = reason

        near, _, near_app, far_app = self.pair.channel(Plain)
        near.write(b"all")
        near.loseWriteConnection()
        self.pair.carry()
        self.assertEqual(far_app.received, b"all")
        far_app.lost.trap(ConnectionDone)
        near_app.lost.trap(ConnectionDone)

    def test_a_producer_is_told_when_its_consumer_is_lost(self) -> None:
        """stopProducing on loss, and at once when registering on a lost channel; a second producer is refused."""
        gauge = Gauge()
        self.near.registerProducer(gauge, True)
        self.assertRaises(RuntimeError, self.near.registerProducer, Gauge(), True)
        self.pair.cut()
        self.assertTrue(gauge.stopped)
        late = Gauge()
        self.near.registerProducer(late, True)
        self.assertTrue(late.stopped)

    def test_data_before_a_protocol_is_kept(self) -> None:
        """What arrives before the acceptor connected its protocol is delivered then."""
        opener = self.pair.relay.session.open({})
        opener.write(b"early")
        opener.loseWriteConnection()
        self.pair.carry()
        late = Recorder()
        self.pair.client.opened[-1][0].connect_protocol(late)
        self.assertEqual(late.received, b"early")
        self.assertTrue(late.read_ended)


class BudgetTests(SynchronousTestCase):
    def test_many_stalled_readers_cannot_exceed_the_budget(self) -> None:
        """Beyond the hard limit the greatest holder is reset with a clear error; small channels go on."""
        pair = SessionPair(budget=1_000_000)
        stalled = []
        for _ in range(8):
            near, far, near_app, _ = pair.channel()
            far.pauseProducing()
            stalled.append((near, near_app))
        for near, _ in stalled:
            near.write(b"x" * INITIAL_WINDOW)
        pair.carry()
        self.assertLessEqual(pair.client.session.budget.held, 1_000_000)
        ended = [app for _, app in stalled if app.lost is not None]
        self.assertTrue(ended)
        for app in ended:
            self.assertIsInstance(app.error, OverBudget)
        near, _, _, reader = pair.channel()
        near.write(b"y" * 500_000)
        pair.carry()
        self.assertEqual(len(reader.received), 500_000)

    def test_tight_memory_pauses_every_producer_that_has_something_waiting(self) -> None:
        """Above half of the budget a producer is paused by its first waiting byte."""
        pair = SessionPair(budget=200_000)
        hog, hog_far, _, _ = pair.channel()
        hog_far.pauseProducing()
        hog.write(b"x" * 120_000)
        pair.relay.session.link_paused()
        hog.write(b"x" * 120_000)
        other = pair.relay.session.open({})
        gauge = Gauge()
        other.registerProducer(gauge, True)
        other.write(b"y")
        self.assertFalse(gauge.running)


class ReadSizeTests(SynchronousTestCase):
    """How much who writes to a channel reads at once."""

    def moved(self, budget: int, held: int = 0) -> int:
        """The read size of a producer that was paused and goes on, in a session of so much memory."""
        pair = SessionPair(budget=budget)
        near, _, _, _ = pair.channel()
        socket = Socket()
        near.registerProducer(socket, True)
        self.assertEqual(socket.bufferSize, USUAL_READ)
        near.write(bytes(HIGH_WATER + 1))
        self.assertFalse(socket.running)
        pair.relay.session.budget.hold(held)
        pair.carry()
        self.assertTrue(socket.running)
        return socket.bufferSize

    def test_a_producer_whose_bytes_leave_reads_more_at_once(self) -> None:
        """Not before: what nobody takes is held in small pieces."""
        self.assertEqual(self.moved(64 << 20), READ)

    def test_where_memory_is_scarce_it_does_not(self) -> None:
        """A session of 1 MiB, and one whose memory is used up by half."""
        self.assertEqual(self.moved(1 << 20), USUAL_READ)
        self.assertEqual(self.moved(64 << 20, 33 << 20), USUAL_READ)


class EndpointTests(SynchronousTestCase):
    def test_connect_fires_at_once(self) -> None:
        """The first bytes travel with the OPEN, before the far side has accepted."""
        pair = SessionPair()
        endpoint = ChannelEndpoint(lambda: pair.relay.session, {"tunnel": 1})
        verifyObject(IStreamClientEndpoint, endpoint)
        protocol: Any = self.successResultOf(endpoint.connect(Factory.forProtocol(Recorder)))
        protocol.transport.write(b"GET /")
        messages = pair.relay.link.messages
        pair.clock.advance(0)
        self.assertEqual(pair.relay.link.messages, messages + 1)
        pair.carry()
        far = Recorder()
        channel, metadata = pair.client.opened[0]
        channel.connect_protocol(far)
        self.assertEqual((metadata, far.received), ({"tunnel": 1}, b"GET /"))

    def test_a_refusal_is_the_reason_of_the_loss(self) -> None:
        """The far side's reset before accepting reaches the protocol as its error."""
        pair = SessionPair()
        endpoint = ChannelEndpoint(lambda: pair.relay.session, {})
        protocol: Any = self.successResultOf(endpoint.connect(Factory.forProtocol(Recorder)))
        pair.carry()
        pair.client.opened[0][0].reset(UpstreamRefused("nobody listens"))
        pair.carry()
        self.assertIsInstance(protocol.error, UpstreamRefused)

    def test_no_session_is_a_failure(self) -> None:
        """Without a session, or after its end, connect fails with LinkLost."""
        pair = SessionPair()
        pair.cut()
        for session in (None, pair.relay.session):
            endpoint = ChannelEndpoint(lambda session=session: session, {})  # type: ignore[misc]
            self.failureResultOf(endpoint.connect(Factory.forProtocol(Recorder)), LinkLost)
