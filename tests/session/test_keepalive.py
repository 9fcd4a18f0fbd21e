"""The heartbeat on a clock that moves by hand."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.session.keepalive import Keepalive


class KeepaliveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pings: list[float] = []
        self.losses: list[float] = []
        self.keepalive = Keepalive(
            self.clock,
            lambda: self.pings.append(self.clock.seconds()),
            lambda: self.losses.append(self.clock.seconds()),
            interval=15,
            patience=10,
        )
        self.keepalive.start()

    def test_silence_is_pinged_twice_and_then_lost(self) -> None:
        """Pings at 15 and 25 s, lost at 35 s, once."""
        self.clock.pump([1] * 100)
        self.assertEqual((self.pings, self.losses), ([15, 25], [35]))

    def test_an_answer_starts_it_all_again(self) -> None:
        """After an answer to the second ping both pings are due again."""
        self.clock.pump([1] * 27)
        self.keepalive.heard()
        self.clock.pump([1] * 60)
        self.assertEqual((self.pings, self.losses), ([15, 25, 42, 52], [62]))

    def test_traffic_needs_no_pings(self) -> None:
        """While something comes every 14 s nothing is asked."""
        for _ in range(20):
            self.clock.advance(14)
            self.keepalive.heard()
        self.assertEqual(self.pings, [])

    def test_stopped_is_stopped(self) -> None:
        """After stop no call is left on the clock; stopping twice is fine."""
        self.keepalive.stop()
        self.keepalive.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
