"""Which of several servers a visitor gets: the least busy one, the same again, none that has left."""

from __future__ import annotations

from twisted.internet.protocol import Factory
from zope.interface.verify import verifyObject

from egtunnel.interfaces import IRoute, IServer, Visitor
from egtunnel.session.messages import Release
from tests.pipes import Recorder
from tests.relay.shared import SharedCase
from tests.relay.test_shared_names import shared


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
