"""Which of several servers a visitor gets: least busy, healthy, the same again; and what a failing one costs."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from egtunnel.errors import ClientAway, LinkLost, OverBudget, TooManyChannels, UpstreamRefused, UpstreamSlow
from egtunnel.interfaces import IRoute, IServer, Visitor
from egtunnel.relay.health import ServerLimits
from egtunnel.session.messages import Release
from tests.pipes import Recorder
from tests.relay.house import House, HouseLimits, MemoryClient
from tests.relay.test_shared_names import shared


class SharedCase(SynchronousTestCase):
    """A relay, and two clients that share ``app``."""

    sticky = ""
    secret = ""

    def setUp(self) -> None:
        self.house = House(HouseLimits(servers=ServerLimits(tries=2)), secret=self.secret)
        self.one, self.two = shared(self.house, "one", "two", sticky=self.sticky)

    def dial(self, host: str = "192.0.2.1", cookie: str = "") -> Deferred[Any]:
        """A visitor on its way."""
        visitor = Visitor("http", host, 1, "app", cookie=cookie)
        route = self.house.tunnel("app").dialer(visitor)
        dialing: Deferred[Any] = route.connect(Factory.forProtocol(Recorder))
        self.house.carry()
        return dialing

    def visit(self, host: str = "192.0.2.1", cookie: str = "") -> tuple[MemoryClient, Any]:
        """A visitor that is served; by whom, and its protocol."""
        before = [len(client.opened) for client in self.house.clients]
        dialing = self.dial(host, cookie)
        (by,) = [client for client, count in zip(self.house.clients, before, strict=True) if len(client.opened) > count]
        by.accept()
        return by, self.successResultOf(dialing)

    def refuse(self, client: MemoryClient, error: Exception | None = None) -> None:
        """What the service of a client does."""
        channel, _ = client.opened[-1]
        channel.reset(error or UpstreamRefused())  # type: ignore[arg-type]
        self.house.carry()

    def loads(self) -> dict[str, int]:
        """Open channels of each server."""
        return {server.client: len(server.openings) for server in self.house.tunnel("app").servers}


class ChoiceTests(SharedCase):
    def test_the_seams_are_kept(self) -> None:
        """What an ingress relies on is there."""
        route = self.house.tunnel("app").dialer(Visitor("http", "192.0.2.1", 1))
        verifyObject(IRoute, route)
        verifyObject(IServer, route.server)
        self.house.client("three").claim(1, name="alone")
        route = self.house.tunnel("alone").dialer(Visitor("http", "192.0.2.1", 1))
        verifyObject(IRoute, route)
        self.assertIsNone(route.server)

    def test_the_least_busy_one_is_next(self) -> None:
        """By channels of this tunnel; others of the same session do not count."""
        self.one.claim(9, name="other")
        for _ in range(5):
            route = self.house.tunnel("other").dialer(Visitor("http", "192.0.2.1", 1))
            route.connect(Factory.forProtocol(Recorder))
        self.house.carry()
        held = [self.visit() for _ in range(6)]
        self.assertEqual(self.loads(), {"one": 3, "two": 3})
        for by, protocol in held:
            if by is self.two:
                protocol.transport.abortConnection()
        self.house.carry()
        self.assertEqual(self.loads(), {"one": 3, "two": 0})
        self.assertEqual([self.visit()[0] for _ in range(3)], [self.two] * 3)

    def test_of_equals_the_one_whose_turn_was_longest_ago(self) -> None:
        """Visitors who come and go are spread, too."""
        served = []
        for _ in range(6):
            by, protocol = self.visit()
            served.append(by)
            protocol.transport.abortConnection()
            self.house.carry()
        self.assertEqual(served, [self.one, self.two] * 3)

    def test_connections_that_wait_are_no_work(self) -> None:
        """A pool says which those are."""
        by, protocol = self.visit()
        self.visit()
        server = self.house.tunnel("app").servers.find(self.house.clients[0].near.receiver, 1)
        assert server is not None
        self.assertIs(by, self.one)
        server.keep(protocol)
        self.assertEqual((server.busy, len(server.openings)), (0, 1))
        server.let_go(protocol)
        self.assertEqual(server.busy, 1)

    def test_a_server_that_leaves_closes_what_waits(self) -> None:
        """So that nothing of it is kept; and what is kept later is closed at once."""
        closed: list[str] = []

        class Kept:
            def close(self) -> None:
                closed.append("closed")

        server = next(iter(self.house.tunnel("app").servers))
        server.keep(Kept())
        self.one.tell(Release(1))
        self.assertEqual(closed, ["closed"])
        server.keep(Kept())
        self.assertEqual((len(closed), server.busy), (2, 0))


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


class ReleaseTests(SharedCase):
    def test_what_is_under_way_goes_on_after_a_release(self) -> None:
        """New visitors go to the other."""
        by, protocol = self.visit()
        self.assertIs(by, self.one)
        far = self.one.opened[-1][0].protocol
        self.one.tell(Release(1))
        self.assertEqual([self.visit()[0] for _ in range(3)], [self.two] * 3)
        far.transport.write(b"the rest")
        self.house.carry()
        self.assertEqual(protocol.received, b"the rest")
        self.assertIsNone(protocol.lost)

    def test_a_visitor_under_way_to_one_that_releases_is_served(self) -> None:
        """It was sent there in time."""
        dialing = self.dial()
        self.one.tell(Release(1))
        self.one.accept()
        self.successResultOf(dialing)

    def test_a_route_of_before_does_not_lead_to_one_that_has_left(self) -> None:
        """The choice is made again."""
        route = self.house.tunnel("app").dialer(Visitor("http", "192.0.2.1", 1))
        self.one.tell(Release(1))
        route.connect(Factory.forProtocol(Recorder))
        self.house.carry()
        self.assertEqual((len(self.one.opened), len(self.two.opened)), (0, 1))


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


class AddressTests(SharedCase):
    sticky = "address"

    def test_an_address_stays_with_its_server(self) -> None:
        """However busy that is; different addresses are spread."""
        hosts = [f"192.0.2.{number}" for number in range(1, 21)]
        first = {host: self.visit(host)[0] for host in hosts}
        self.assertEqual({self.visit(host)[0] is first[host] for host in hosts for _ in range(2)}, {True})
        self.assertEqual(set(first.values()), {self.one, self.two})

    def test_a_network_of_ipv6_is_one_address(self) -> None:
        """Its user may choose the rest at will."""
        self.assertEqual(len({id(self.visit(f"2001:db8::{number}")[0]) for number in range(1, 12)}), 1)

    def test_only_the_addresses_of_one_that_leaves_move(self) -> None:
        """And they come back with it, under a new session."""
        hosts = [f"192.0.2.{number}" for number in range(1, 21)]
        first = {host: self.visit(host)[0] for host in hosts}
        self.one.cut()
        self.house.carry()
        self.assertEqual({self.visit(host)[0] for host in hosts}, {self.two})
        (heir,) = shared(self.house, "one", sticky="address")
        now = {host: self.visit(host)[0] for host in hosts}
        self.assertEqual(
            {host for host in hosts if now[host] is heir}, {host for host in hosts if first[host] is self.one}
        )


class CookieTests(SharedCase):
    sticky = "cookie"

    def test_a_known_cookie_is_followed(self) -> None:
        """However busy that server is; anything else is a visitor like all."""
        by, _ = self.visit()
        server = next(iter(self.house.tunnel("app").servers))
        self.assertIs(by, self.one)
        self.assertRegex(server.id, "^[0-9a-f]{16}$")
        self.assertEqual([self.visit(cookie=server.id)[0] for _ in range(3)], [self.one] * 3)
        self.assertEqual([self.visit(cookie="0" * 16)[0] for _ in range(3)], [self.two] * 3)

    def test_a_server_that_is_away_or_rests_is_not_waited_for(self) -> None:
        """The visitor gets another one."""
        one, two = self.house.tunnel("app").servers
        for _ in range(3):
            one.failed()
        self.assertIs(self.visit(cookie=one.id)[0], self.two)
        self.two.cut()
        self.house.carry()
        self.assertIs(self.visit(cookie=two.id)[0], self.one)


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
