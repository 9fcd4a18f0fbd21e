"""Visitors who wait for a client."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import ClientAway, UnknownTunnel
from egtunnel.relay.waiting import WaitingLimits, WaitingRoom


class WaitingRoomTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.room = WaitingRoom(self.clock, WaitingLimits(hold=10, visitors=3))

    def test_visitors_go_in_when_it_is_back_in_their_order(self) -> None:
        """First come, first served; those who wait for something else wait on."""
        order: list[str] = []
        for name in ("first", "second"):
            self.room.wait("app").addCallback(lambda _, who: order.append(who), name)
        other = self.room.wait("other")
        self.room.let_in("app")
        self.assertEqual(order, ["first", "second"])
        self.assertNoResult(other)
        self.assertEqual(self.room.visitors, 1)
        self.room.send_away("other", UnknownTunnel())
        self.failureResultOf(other, UnknownTunnel)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_waits_longer_than_the_hold(self) -> None:
        """After ``hold`` seconds the visitor is told that the client is away."""
        waiter = self.room.wait("app")
        self.clock.advance(9.9)
        self.assertNoResult(waiter)
        self.clock.advance(0.1)
        self.failureResultOf(waiter, ClientAway)
        self.assertEqual(self.room.visitors, 0)

    def test_a_full_room_turns_visitors_away_at_once(self) -> None:
        """One more than the room holds has its answer now, and a place is free again when one leaves."""
        waiters = [self.room.wait(name) for name in ("a", "a", "b")]
        self.failureResultOf(self.room.wait("a"), ClientAway)
        self.assertEqual(self.room.visitors, 3)
        waiters[0].cancel()
        self.failureResultOf(waiters[0], CancelledError)
        self.assertNoResult(self.room.wait("a"))

    def test_a_visitor_who_leaves_waits_no_more(self) -> None:
        """Cancelling gives the place back and stops the timer."""
        waiter = self.room.wait("app")
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        self.assertEqual((self.room.visitors, self.clock.getDelayedCalls()), (0, []))
        self.room.let_in("app")

    def test_a_hold_of_nothing_holds_nobody(self) -> None:
        """``--hold 0`` means an answer at once."""
        self.failureResultOf(WaitingRoom(self.clock, WaitingLimits(hold=0)).wait("app"), ClientAway)

    def test_a_visitor_let_in_may_wait_again(self) -> None:
        """What is done on the way in does not disturb the others' turn."""
        self.room.wait("app").addCallback(lambda _: self.room.wait("app"))
        second = self.room.wait("app")
        self.room.let_in("app")
        self.successResultOf(second)
        self.assertEqual(self.room.visitors, 1)
        self.room.close()
        self.assertEqual((self.room.visitors, self.clock.getDelayedCalls()), (0, []))
        self.flushLoggedErrors()
