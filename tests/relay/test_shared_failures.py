"""What a visitor notices of servers that refuse, are silent, rest, or have lost their links."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory

from egtunnel.errors import ClientAway, LinkLost, OverBudget, TooManyChannels, UpstreamRefused, UpstreamSlow
from egtunnel.interfaces import Visitor
from egtunnel.session.messages import Release
from tests.pipes import Recorder
from tests.relay.house import House
from tests.relay.shared import SharedCase
from tests.relay.test_shared_names import shared


class FailureTests(SharedCase):
    def test_a_visitor_does_not_notice_one_that_refuses(self) -> None:
        """Another one is tried, and what the visitor says goes there, all of it."""
        dialing = self.dial()
        self.assertNoResult(dialing)
        self.refuse(self.one)
        protocol = self.successResultOf(dialing)
        protocol.transport.write(b"hello")
        self.assertEqual(self.two.accept().received, b"hello")
        self.assertEqual(self.loads(), {"one": 0, "two": 1})

    def test_if_all_refuse_the_visitor_hears_the_last(self) -> None:
        """As if it were the only one: the channel ends with the reason."""
        dialing = self.dial()
        self.refuse(self.one)
        self.refuse(self.two)
        self.assertIsInstance(self.successResultOf(dialing).error, UpstreamRefused)
        self.assertEqual(self.loads(), {"one": 0, "two": 0})

    def test_one_that_refuses_rests(self) -> None:
        """After three refusals nobody is sent there for ten seconds; then one, and if that is served, all."""
        one = next(iter(self.house.tunnel("app").servers))
        while len(self.one.opened) < 3:
            before = len(self.one.opened)
            self.dial()
            if len(self.one.opened) > before:
                self.refuse(self.one)
            self.two.accept()
        self.assertEqual(one.health.failures, 3)
        for _ in range(5):
            self.assertIs(self.visit()[0], self.two)
        self.house.clock.advance(10)
        probe = self.dial()
        self.assertEqual(len(self.one.opened), 4)
        self.assertIs(self.visit()[0], self.two)
        self.one.accept()
        self.successResultOf(probe)
        self.assertIs(self.visit()[0], self.one)

    def test_while_all_rest_the_least_bad_one_is_asked(self) -> None:
        """A visitor is better off with a try than without."""
        for server in self.house.tunnel("app").servers:
            for _ in range(3):
                server.failed()
            self.house.clock.advance(1)
        self.assertIs(self.visit()[0], self.one)

    def test_a_slow_one_counts_as_failed_a_visitor_that_leaves_does_not(self) -> None:
        """Nothing is held against a server that had no time to answer."""
        one = next(iter(self.house.tunnel("app").servers))
        dialing = self.dial()
        dialing.cancel()
        self.failureResultOf(dialing, CancelledError)
        self.house.carry()
        self.assertEqual((one.health.failures, self.loads()["one"]), (0, 0))
        _, protocol = self.visit()
        protocol.transport.abortConnection()
        self.house.carry()
        self.dial()
        self.refuse(self.one, UpstreamSlow())
        self.assertEqual(one.health.failures, 1)

    def test_who_is_silent_is_waited_for_for_a_while(self) -> None:
        """Then the visitor goes to another one, and that counts; with nobody else there it waits on."""
        one = next(iter(self.house.tunnel("app").servers))
        dialing = self.dial()
        self.house.clock.advance(2.9)
        self.house.carry()
        self.assertEqual(len(self.two.opened), 0)
        self.house.clock.advance(0.1)
        self.house.carry()
        self.successResultOf(dialing)
        self.assertEqual((len(self.two.opened), one.health.failures, self.loads()), (1, 1, {"one": 0, "two": 1}))
        self.two.tell(Release(1))
        waiting = self.dial()
        self.house.clock.advance(60)
        self.house.carry()
        self.one.accept()
        self.successResultOf(waiting)

    def test_a_silent_one_that_was_the_only_one_left_is_waited_for(self) -> None:
        """Until somebody else comes."""
        dialing = self.dial()
        self.two.tell(Release(1))
        self.house.clock.advance(4)
        self.house.carry()
        self.assertNoResult(dialing)
        (three,) = shared(self.house, "three")
        self.house.clock.advance(3)
        self.house.carry()
        three.accept()
        self.successResultOf(dialing)

    def test_no_timer_is_left_of_a_visitor(self) -> None:
        """However its way ended."""
        before = len(self.house.clock.getDelayedCalls())
        self.visit()
        gone = self.dial()
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.dial()
        self.refuse(self.one)
        self.two.accept()
        self.house.carry()
        self.assertEqual(len(self.house.clock.getDelayedCalls()), before)

    def test_a_factory_that_wants_no_connection_gets_none(self) -> None:
        """The channel is ended."""

        class Closed(Factory):
            def buildProtocol(self, addr: object) -> None:
                return None

        dialing = self.house.tunnel("app").dialer(Visitor("http", "192.0.2.1", 1)).connect(Closed())
        self.house.carry()
        channel, _ = self.one.opened[-1]
        channel.connect_protocol(Recorder())
        channel.accept()
        self.house.carry()
        self.failureResultOf(dialing, LinkLost)
        self.assertEqual(self.loads(), {"one": 0, "two": 0})

    def test_what_says_nothing_of_a_server_lets_the_next_visitor_ask(self) -> None:
        """A channel that ends for a reason of ours, or without one, is no answer after a rest either."""
        one = next(iter(self.house.tunnel("app").servers))
        for _ in range(3):
            one.failed()
        self.house.clock.advance(10)
        self.dial()
        self.refuse(self.one, OverBudget())
        self.assertTrue(one.health.ready(self.house.clock.seconds()))
        self.assertEqual(one.health.failures, 3)

    def test_one_with_too_many_channels_is_passed_over(self) -> None:
        """The visitor goes to the next."""
        one = next(iter(self.house.tunnel("app").servers))

        def full(metadata: object) -> Any:
            raise TooManyChannels

        one.session.open = full  # type: ignore[method-assign]
        dialing = self.dial()
        self.successResultOf(dialing)
        self.assertEqual((len(self.one.opened), len(self.two.opened)), (0, 1))

    def test_a_lost_session_costs_visitors_nothing_who_were_not_accepted(self) -> None:
        """They go to the other; who was accepted has lost its connection."""
        by, before = self.visit()
        self.assertIs(by, self.one)
        self.visit()
        dialing = self.dial()
        self.assertEqual(len(self.one.opened), 2)
        self.one.cut()
        self.house.carry()
        self.two.accept()
        self.successResultOf(dialing)
        self.assertIsInstance(before.error, LinkLost)
        self.assertEqual(self.loads(), {"two": 2})

    def test_with_nobody_there_visitors_wait_as_ever(self) -> None:
        """For whoever comes first, or not for ever."""
        self.one.cut()
        self.two.cut()
        waiting, impatient = self.dial(), self.dial()
        impatient.cancel()
        self.failureResultOf(impatient, CancelledError)
        self.house.clock.advance(9)
        (three,) = shared(self.house, "three")
        self.successResultOf(waiting)
        self.assertEqual(len(three.opened), 1)
        three.cut()
        late = self.dial()
        self.house.clock.advance(10)
        self.failureResultOf(late, ClientAway)


class ResumeTests(SharedCase):
    secret = "secret"

    def test_one_without_a_link_is_passed_over(self) -> None:
        """While another one has its link; its own channels wait for it."""
        by, protocol = self.visit()
        self.assertIs(by, self.one)
        self.one.cut()
        self.assertEqual([self.visit()[0] for _ in range(3)], [self.two] * 3)
        self.assertIsNone(protocol.lost)
        self.one.resume()
        self.assertIs(self.visit()[0], self.one)

    def test_who_was_not_accepted_yet_turns_to_another(self) -> None:
        """Nobody knows when the link will be back."""
        dialing = self.dial()
        self.one.cut()
        self.house.carry()
        self.two.accept()
        self.successResultOf(dialing)
        self.assertEqual(self.loads(), {"one": 0, "two": 1})

    def test_with_no_other_visitors_wait_for_the_link(self) -> None:
        """Who was under way, and who comes now."""
        dialing = self.dial()
        self.two.tell(Release(1))
        self.one.cut()
        waiting = self.dial()
        self.assertNoResult(dialing)
        self.assertEqual(self.house.room.visitors, 1)
        self.one.resume()
        self.assertEqual(self.house.room.visitors, 0)
        self.successResultOf(waiting)
        for channel, _ in self.one.opened:
            channel.connect_protocol(Recorder())
            channel.accept()
        self.house.carry()
        self.successResultOf(dialing)


@pytest.mark.parametrize("count", [3, 5])
def test_two_dead_ones_of_many_cost_nothing_with_three_tries(count: int) -> None:
    """The default."""
    house = House()
    clients = shared(house, *map(str, range(count)))
    route = house.tunnel("app").dialer(Visitor("http", "192.0.2.1", 1))
    dialing: Deferred[Any] = route.connect(Factory.forProtocol(Recorder))
    found: list[Any] = []
    dialing.addCallback(found.append)
    for client in clients[:2]:
        house.carry()
        client.opened[-1][0].reset(UpstreamRefused())
    house.carry()
    clients[2].accept()
    assert len(found) == 1
