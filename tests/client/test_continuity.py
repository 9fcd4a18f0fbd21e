"""Sessions that the relay means to end: they keep their channels, and the next link begins another."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from egtunnel.client.continuity import MOST_LEAVING, Continuity
from egtunnel.errors import EgtunnelError, LinkLost, ShuttingDown
from egtunnel.mux.budget import Budget
from egtunnel.session.messages import Welcome
from egtunnel.session.session import Role, Session, SessionLimits
from egtunnel.session.transport import ChannelTransport
from tests.pipes import MemoryLink, Recorder, SessionPair


class LeavingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A continuity whose links lead to sessions of this test."""
        self.clock = SessionPair().clock
        self.begun: list[Session] = []
        self.ended = 0
        self.opened: list[ChannelTransport] = []
        self.continuity = Continuity(
            self.clock,
            SessionLimits(),
            (1.0, 60.0),
            Budget(1 << 26),
            on_open=lambda channel, metadata: self.opened.append(channel),
            begin=self.begun.append,
            end=self._end,
        )

    def _end(self) -> None:
        self.ended += 1

    def connect(self) -> Relay:
        """A new link, and the relay's side of it."""
        return Relay(self, len(self.begun) + 1)

    def test_a_goaway_ends_nothing_but_asks_for_another_link(self) -> None:
        """The old session keeps its channels, and gets new ones; the new link begins a new session."""
        relay = self.connect()
        channel = relay.open()
        gone: list[EgtunnelError | None] = []
        self.continuity.gone().addCallback(gone.append)
        relay.session.go_away(ShuttingDown("a new relay takes over"))
        relay.carry()
        self.assertIsInstance(gone[0], ShuttingDown)
        self.assertEqual((self.continuity.session, self.ended), (None, 1))
        self.assertIsNone(self.continuity.resume())
        channel.write(b"still here")
        relay.open()
        relay.carry()
        self.assertEqual(len(self.opened), 2)
        self.assertEqual(len(self.begun), 1)
        another = self.connect()
        self.assertIs(self.continuity.session, self.begun[1])
        another.open()
        self.assertEqual(len(self.opened), 3)
        self.assertEqual(relay.ends, [])

    def test_the_old_session_ends_with_its_link(self) -> None:
        """It is not resumed: who would know it?"""
        relay = self.connect()
        relay.open()
        recorder = Recorder()
        self.opened[0].connect_protocol(recorder)
        relay.session.go_away(ShuttingDown("bye"))
        relay.carry()
        relay.far.receiver.link_lost("closed")
        self.assertIsInstance(recorder.error, LinkLost)
        self.assertEqual(self.continuity.leaving, [])

    def test_no_more_than_so_many_are_kept(self) -> None:
        """Beyond it the oldest is ended."""
        relays = []
        for _ in range(MOST_LEAVING + 1):
            relay = self.connect()
            relays.append(relay)
            relay.session.go_away(ShuttingDown("again"))
            relay.carry()
        self.assertEqual(len(self.continuity.leaving), MOST_LEAVING)
        self.assertIsNotNone(relays[0].far.closed)
        self.assertIsNone(relays[1].far.closed)

    def test_closing_ends_them_all(self) -> None:
        """The client stops."""
        first = self.connect()
        first.session.go_away(ShuttingDown("again"))
        first.carry()
        second = self.connect()
        self.continuity.close(ShuttingDown("the client stops"))
        self.assertEqual([bool(relay.far.closed) for relay in (first, second)], [True, True])
        self.assertEqual(self.continuity.leaving, [])


class Relay:
    """The relay's side of one link."""

    def __init__(self, case: LeavingTests, number: int) -> None:
        self.clock: Any = case.clock
        self.near, self.far = MemoryLink(), MemoryLink()
        self.ends: list[EgtunnelError] = []
        self.session = Session(
            role=Role.RELAY,
            clock=self.clock,
            limits=SessionLimits(),
            budget=Budget(1 << 26),
            id=f"s{number}",
            secret="a secret",
            on_closed=self.ends.append,
        )
        self.session.attach(self.near)
        welcome = Welcome(session_id=f"s{number}", resume_secret="a secret", resume_window=60.0)
        case.continuity.carry(self.far, welcome, b"")
        self.carry()

    def open(self) -> ChannelTransport:
        """A visitor's channel."""
        channel = self.session.open({"tunnel": 1})
        channel.connect_protocol(Recorder())
        self.carry()
        return channel

    def carry(self) -> None:
        """Let messages cross until none moves."""
        moving = True
        while moving:
            self.clock.advance(0)
            moving = False
            for source, target in ((self.near, self.far), (self.far, self.near)):
                while source.sent:
                    moving = True
                    data = source.sent.popleft()
                    if target.receiver is not None:
                        target.receiver.link_message(data)
