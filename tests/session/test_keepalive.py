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

    def test_a_peer_that_owes_us_something_is_given_less_time(self) -> None:
        """With a hurry of 3 s: pings at 3 and 6 s of silence, lost at 9; as soon as nothing is owed, as ever."""
        owed = [True]
        losses: list[float] = []
        pings: list[float] = []
        hurried = Keepalive(
            self.clock,
            lambda: pings.append(self.clock.seconds()),
            lambda: losses.append(self.clock.seconds()),
            interval=15,
            patience=10,
            owed=lambda: owed[0],
            hurry=3,
        )
        hurried.start()
        self.clock.pump([1] * 20)
        self.assertEqual((pings, losses), ([3, 6], [9]))
        pings.clear()
        hurried.start()
        self.clock.pump([1] * 4)
        hurried.heard()
        owed[0] = False
        self.clock.pump([1] * 30)
        self.assertEqual((pings, losses), ([23, 39, 49], [9]))

    def test_what_is_owed_later_is_noticed_in_the_midst_of_an_interval(self) -> None:
        """The hurry begins with the debt."""
        owed = [False]
        losses: list[float] = []
        hurried = Keepalive(
            self.clock,
            lambda: None,
            lambda: losses.append(self.clock.seconds()),
            interval=15,
            patience=10,
            owed=lambda: owed[0],
            hurry=3,
        )
        hurried.start()
        self.clock.pump([1] * 8)
        owed[0] = True
        self.clock.pump([1] * 20)
        self.assertEqual(losses, [15])

    def test_a_doubt_asks_at_once(self) -> None:
        """And an answer dispels it."""
        self.keepalive.doubt()
        self.assertEqual(self.pings, [0])
        self.clock.advance(1)
        self.keepalive.heard()
        self.clock.pump([1] * 16)
        self.assertEqual((self.pings, self.losses), ([0, 16], []))
