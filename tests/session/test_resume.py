"""A session outlives its link: it waits, and goes on over the next one as if nothing had happened."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import FlowControlError, HeartbeatLost, LinkLost, ShuttingDown
from egtunnel.session.messages import Notice
from egtunnel.session.session import SessionLimits
from tests.pipes import MemoryLink, SessionPair


class ResumeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A pair with a secret, which both know."""
        self.pair = SessionPair(secret="a secret")
        self.sides = (self.pair.client, self.pair.relay)
        self.away: list[str] = []
        for side in self.sides:
            side.session.on_away = lambda error: self.away.append(error.word)
            side.session.on_back = lambda: self.away.append("back")

    def test_channels_outlive_the_link(self) -> None:
        """What was written while there was none arrives, and nothing that was lost with it is missing."""
        near, far, near_protocol, far_protocol = self.pair.channel()
        near.write(b"one ")
        self.pair.clock.advance(0)
        self.pair.cut()
        near.write(b"two ")
        far.write(b"answer")
        self.pair.join()
        near.write(b"three")
        self.pair.carry()
        self.assertEqual(far_protocol.received, b"one two three")
        self.assertEqual(near_protocol.received, b"answer")
        self.assertEqual(self.away, ["link-lost", "link-lost", "back", "back"])

    def test_the_way_is_measured_anew_on_each_link(self) -> None:
        """A machine that moved from the office to a train has another round trip: the old one would hold it back."""
        session = self.pair.client.session
        session.round_trip = 0.001
        self.pair.cut()
        relay = self.pair.relay.session
        session.leave(LinkLost("for a new one"))
        relay.resume(session.position)
        session.resume(relay.position)
        for side in self.sides:
            side.link = MemoryLink()
            side.session.attach(side.link)
        self.pair.clock.advance(0)
        self.pair.clock.advance(0.08)
        self.pair.carry()
        assert session.round_trip is not None
        self.assertAlmostEqual(session.round_trip, 0.08)
        self.assertAlmostEqual(session.mux.round_trip, 0.08)

    def test_messages_arrive_once_and_in_order(self) -> None:
        """Also those that had arrived and were not acknowledged."""
        session = self.pair.client.session
        session.send(Notice("one"))
        self.pair.carry()
        session.send(Notice("two"))
        self.pair.clock.advance(0)
        self.pair.cut()
        session.send(Notice("three"))
        self.pair.join()
        self.assertEqual(self.pair.relay.messages, [Notice("one"), Notice("two"), Notice("three")])

    def test_without_a_new_link_it_ends_in_time(self) -> None:
        """After ``resume`` seconds, with the reason the link was lost for."""
        _, _, near, far = self.pair.channel()
        self.pair.cut()
        self.pair.clock.advance(59.9)
        self.assertEqual((near.lost, far.lost, self.pair.relay.ends), (None, None, []))
        self.pair.clock.advance(0.2)
        self.assertIsInstance(near.error, LinkLost)
        self.assertIsInstance(far.error, LinkLost)
        self.assertIsInstance(self.pair.relay.ends[0], LinkLost)
        self.assertEqual(self.pair.relay.session.budget.held, 0)
        self.assertEqual(self.pair.clock.getDelayedCalls(), [])

    def test_it_waits_from_the_first_loss_on_and_anew_after_each_return(self) -> None:
        """A link that came and went starts the time over."""
        self.pair.cut()
        self.pair.clock.advance(59)
        self.pair.join()
        self.pair.cut()
        self.pair.clock.advance(59)
        self.assertEqual(self.pair.relay.ends, [])

    def test_a_silent_link_is_given_up_and_the_session_waits(self) -> None:
        """Heartbeats unanswered: the link is aborted, the channels stay."""
        _, _, near, _ = self.pair.channel()
        self.pair.clock.pump([1.0] * 36)
        self.assertTrue(self.pair.relay.link.aborted)
        self.assertEqual(self.away, [HeartbeatLost.word] * 2)
        self.assertIsNone(near.lost)
        self.pair.join()
        self.assertTrue(self.pair.relay.session.online)

    def test_a_newer_link_takes_over_from_one_that_still_stands(self) -> None:
        """Make before break: the old one is aborted, and what it would still have brought comes again."""
        near, _, _, far_protocol = self.pair.channel()
        near.write(b"under way")
        self.pair.clock.advance(0)
        old = [side.link for side in self.sides]
        self.pair.join()
        self.assertTrue(all(link.aborted for link in old))
        self.assertEqual(far_protocol.received, b"under way")

    def test_who_said_goodbye_is_not_waited_for(self) -> None:
        """GOAWAY ends the session with its link."""
        self.pair.relay.session.close(ShuttingDown("bye"))
        self.pair.carry()
        self.pair.cut()
        self.assertIsInstance(self.pair.client.ends[0], ShuttingDown)

    def test_closing_a_session_that_is_away_ends_it_at_once(self) -> None:
        """And its timer."""
        self.pair.cut()
        for side in self.sides:
            side.session.close(ShuttingDown("bye"))
            self.assertIsInstance(side.ends[0], ShuttingDown)
        self.assertEqual(self.pair.clock.getDelayedCalls(), [])

    def test_an_impossible_position_leaves_the_session_waiting(self) -> None:
        """Whoever says it is not the peer that we know."""
        self.pair.cut()
        with self.assertRaises(FlowControlError):
            self.pair.relay.session.resume(1 << 40)
        self.pair.join()
        self.assertTrue(self.pair.relay.session.online)

    def test_without_a_secret_or_a_time_to_wait_it_ends_with_its_link(self) -> None:
        """As before there was such a thing."""
        for pair in (SessionPair(), SessionPair(attrs.evolve(SessionLimits(), resume=0), secret="a secret")):
            pair.cut()
            self.assertIsInstance(pair.relay.ends[0], LinkLost)

    def test_a_writer_is_paused_while_nobody_reads(self) -> None:
        """A channel holds so much and no more, link or no link."""
        near, _, _, far_protocol = self.pair.channel()
        producer = Paused()
        near.registerProducer(producer, True)
        self.pair.cut()
        near.write(bytes(100_000))
        self.assertTrue(producer.paused)
        self.pair.join()
        self.assertFalse(producer.paused)
        self.assertEqual(len(far_protocol.received), 100_000)


class Paused:
    """A producer that remembers whether it is paused."""

    paused = False

    def pauseProducing(self) -> None:
        """Paused."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Not any more."""
        self.paused = False

    def stopProducing(self) -> None:
        """Over."""
