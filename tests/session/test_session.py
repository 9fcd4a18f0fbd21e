"""Sessions over a link in memory."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import (
    FrameError,
    HandshakeError,
    HeartbeatLost,
    LinkLost,
    RemoteProtocolError,
    ShuttingDown,
    TooManyChannels,
    UnknownFrameType,
)
from egtunnel.mux.frames import FrameType, encode
from egtunnel.mux.mux import MuxLimits
from egtunnel.session.messages import Notice
from egtunnel.session.session import SessionLimits
from tests.pipes import Recorder, SessionPair


class SessionTests(SynchronousTestCase):
    def test_control_messages_arrive_in_order(self) -> None:
        """What one side sends the other gets, in the same order."""
        pair = SessionPair()
        for text in ("one", "two", "three"):
            pair.client.session.send(Notice(text))
        pair.carry()
        self.assertEqual(pair.relay.messages, [Notice("one"), Notice("two"), Notice("three")])

    def test_everything_of_one_turn_leaves_in_one_message(self) -> None:
        """Ten channels opened and written in one reactor turn are one message of the link."""
        pair = SessionPair()
        before = pair.relay.link.messages
        for _ in range(10):
            pair.relay.session.open({}).write(b"hello")
        pair.clock.advance(0)
        self.assertEqual(pair.relay.link.messages, before + 1)
        pair.carry()
        self.assertEqual(len(pair.client.opened), 10)

    def test_metadata_of_an_open_arrives(self) -> None:
        """The opener's metadata is what the acceptor is told."""
        pair = SessionPair()
        pair.relay.session.open({"tunnel": 7, "name": "ä"})
        pair.carry()
        self.assertEqual(pair.client.opened[0][1], {"tunnel": 7, "name": "ä"})

    def test_nothing_is_sent_while_the_link_is_full(self) -> None:
        """A full link gets nothing, and everything once it takes data again."""
        pair = SessionPair()
        pair.relay.session.link_paused()
        pair.relay.session.send(Notice("wait"))
        pair.clock.advance(0)
        self.assertEqual(list(pair.relay.link.sent), [])
        pair.relay.session.link_resumed()
        pair.carry()
        self.assertEqual(pair.client.messages, [Notice("wait")])

    def test_round_trip_is_measured_at_once(self) -> None:
        """The first ping is sent on attaching; the shortest round trip is kept."""
        pair = SessionPair()
        self.assertEqual(pair.relay.session.round_trip, 0.0)
        pair.client.session.round_trip = 0.050
        pair.clock.advance(15)
        pair.clock.advance(0)
        pair.clock.advance(0.5)
        pair.carry()
        assert pair.client.session.round_trip is not None
        self.assertAlmostEqual(pair.client.session.round_trip, 0.0625)

    def test_silence_ends_the_session_after_two_unanswered_pings(self) -> None:
        """15 s of silence, two pings of 10 s patience each: dead after 35 s, not before."""
        pair = SessionPair()
        pair.clock.pump([1.0] * 34)
        self.assertEqual(pair.relay.ends, [])
        pair.clock.pump([1.0] * 2)
        self.assertIsInstance(pair.relay.ends[0], HeartbeatLost)
        self.assertTrue(pair.relay.link.aborted)
        self.assertFalse(pair.relay.session.online)

    def test_an_idle_session_lives_on_by_heartbeats(self) -> None:
        """An hour without traffic but for pings and pongs."""
        pair = SessionPair()
        for _ in range(3600):
            pair.clock.advance(1)
            pair.carry()
        self.assertEqual((pair.relay.ends, pair.client.ends), ([], []))

    def test_losing_the_link_ends_channels_and_session_once(self) -> None:
        """Each channel is lost with LinkLost; on_closed is told once."""
        pair = SessionPair()
        _, _, near, far = pair.channel()
        pair.cut()
        pair.cut()
        self.assertIsInstance(near.error, LinkLost)
        self.assertIsInstance(far.error, LinkLost)
        self.assertEqual([type(error) for error in pair.relay.ends], [LinkLost])
        with self.assertRaises(LinkLost):
            pair.relay.session.open({})

    def test_closing_says_why(self) -> None:
        """The peer hears the reason by GOAWAY, and its session ends with that error."""
        pair = SessionPair()
        _, _, near, far = pair.channel()
        pair.relay.session.close(ShuttingDown("bye"))
        self.assertEqual(pair.relay.link.closed, (ShuttingDown.code, "bye"))
        pair.carry()
        pair.cut()
        self.assertIsInstance(pair.client.ends[0], ShuttingDown)
        self.assertEqual(str(pair.client.ends[0]), "bye")
        self.assertIsInstance(near.error, LinkLost)
        self.assertIsInstance(far.error, LinkLost)

    def test_a_broken_rule_ends_the_link_with_its_name(self) -> None:
        """An unknown frame type closes the link with the code of UnknownFrameType."""
        pair = SessionPair()
        pair.relay.session.link_message(b"\xff" + bytes(7))
        assert pair.relay.link.closed is not None
        self.assertEqual(pair.relay.link.closed[0], UnknownFrameType.code)
        self.assertIsInstance(pair.relay.ends[0], UnknownFrameType)

    def test_a_message_of_the_link_holds_whole_frames(self) -> None:
        """Half a frame at the end of a message is a frame error."""
        pair = SessionPair()
        pair.relay.session.link_message(encode(FrameType.PING, 0, bytes(8))[:-1])
        self.assertIsInstance(pair.relay.ends[0], FrameError)

    def test_metadata_must_be_an_object(self) -> None:
        """OPEN with a JSON list, or with no JSON at all, is a frame error."""
        for metadata in (b"[]", b"{", b"\xff\xff", b"[" * 50_000):
            pair = SessionPair()
            pair.client.session.link_message(encode(FrameType.OPEN, 2, bytes(4) + metadata))
            self.assertIsInstance(pair.client.ends[0], FrameError)

    def test_a_control_message_must_be_one(self) -> None:
        """JSON that is no message ends the session with a handshake error."""
        pair = SessionPair()
        pair.client.session.link_message(encode(FrameType.MESSAGE, 0, b"[]"))
        self.assertIsInstance(pair.client.ends[0], HandshakeError)

    def test_a_peer_that_asks_and_never_reads_is_cut_off(self) -> None:
        """Pings into a full link gather pongs up to the limit; beyond it the session ends."""
        limits = SessionLimits(mux=MuxLimits(control=1000))
        pair = SessionPair(limits)
        pair.relay.session.link_paused()
        for _ in range(100):
            pair.relay.session.link_message(encode(FrameType.PING, 0, bytes(8)))
        self.assertIsInstance(pair.relay.ends[0], RemoteProtocolError)

    def test_channels_beyond_the_limit_are_refused_and_the_rest_goes_on(self) -> None:
        """The opener's own limit raises; the acceptor's limit resets the one channel."""
        limits = SessionLimits(mux=MuxLimits(channels=2))
        pair = SessionPair(limits)
        pair.channel()
        near, _, _, far = pair.channel()
        with self.assertRaises(TooManyChannels):
            pair.relay.session.open({})
        pair.relay.session.mux.limits = attrs.evolve(limits.mux, channels=3)
        refused = Recorder()
        pair.relay.session.open({}).connect_protocol(refused)
        pair.carry()
        self.assertIsInstance(refused.error, TooManyChannels)
        near.write(b"still here")
        pair.carry()
        self.assertEqual(far.received, b"still here")

    def test_the_answer_to_an_old_ping_changes_nothing(self) -> None:
        """Only the answer to the latest ping is measured."""
        pair = SessionPair()
        pair.relay.session.link_message(encode(FrameType.PONG, 0, b"whatever"))
        self.assertEqual(pair.relay.session.round_trip, 0.0)
        self.assertEqual(pair.relay.ends, [])
