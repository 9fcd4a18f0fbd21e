"""What a client may claim, and what it hears."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import Refused
from egtunnel.interfaces import Visitor
from egtunnel.policy import Edit, HeaderPolicy
from egtunnel.relay.claims import ClaimLimits
from egtunnel.relay.reservations import Place
from egtunnel.relay.tunnels import Tunnel
from egtunnel.session.messages import Claim, Claimed, Hello, Notice, Release, Unknown
from tests.pipes import Recorder
from tests.relay.house import House, HouseLimits


class Busy:
    """An observer that finds some ports in use by other programs."""

    def __init__(self, *ports: int) -> None:
        self.ports = set(map(str, ports))
        self.open: set[str] = set()

    def claimed(self, tunnel: Tunnel) -> None:
        if tunnel.name in self.ports:
            raise Refused("port-unavailable", "in use", retry=True, after=30.0)
        self.open.add(tunnel.name)

    def released(self, tunnel: Tunnel) -> None:
        self.open.discard(tunnel.name)


class Watch:
    """An observer that notes what comes and goes."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def claimed(self, tunnel: Tunnel) -> None:
        self.seen.append(("claimed", tunnel.name))

    def released(self, tunnel: Tunnel) -> None:
        self.seen.append(("released", tunnel.name))


class ClaimTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(HouseLimits(claims=ClaimLimits(tunnels=4, ports=range(20_000, 20_003))))
        self.client = self.house.client("one")

    def assert_refused(self, code: str, *, retry: bool = False, tunnel: int = 1, **wish: Any) -> None:
        answer = self.client.refused(tunnel, **wish)
        self.assertEqual((answer.code, answer.retry), (code, retry))
        self.assertEqual(answer.after, 30.0 if retry else 0.0)
        self.assertTrue(answer.text.isprintable())

    def test_a_wanted_name(self) -> None:
        """Given as asked for, in lower case, with its public URL."""
        self.assertEqual(self.client.claim(name="App"), Claimed(1, "http://app.example.com:7070", "app"))
        tunnel = self.house.table.by_name("app")
        assert tunnel is not None
        self.assertEqual((tunnel.kind, tunnel.name), ("http", "app"))
        self.assertIs(self.house.table.by_name("APP."), tunnel)
        self.assertIsNone(self.house.table.by_host("app"))

    def test_a_host_of_ones_own(self) -> None:
        """Found by the whole host name, in any case."""
        claimed = self.client.claim(host="Dev.Example.org.", host_header="localhost:3000")
        self.assertEqual(claimed, Claimed(1, "http://dev.example.org:7070", "dev.example.org"))
        tunnel = self.house.table.by_host("DEV.example.org")
        assert tunnel is not None
        self.assertEqual(tunnel.host_header, "localhost:3000")
        self.assertIsNone(self.house.table.by_name("dev.example.org"))

    def test_what_the_service_speaks(self) -> None:
        """HTTP/1.1 unless the claim says h2c; what was claimed last counts."""
        for protocol, expected in (("", "http/1.1"), ("h2c", "h2c"), ("", "http/1.1")):
            self.client.claim(name="app", protocol=protocol)
            self.assertEqual(self.house.tunnel("app").protocol, expected)
        self.assert_refused("bad-protocol", name="app", protocol="h3")
        self.assert_refused("bad-protocol", name="app", protocol="h2c\r\n" * 100)

    def test_a_header_policy(self) -> None:
        """As the client wrote it; none where nothing is changed."""
        self.client.claim(name="app")
        self.assertIsNone(self.house.tunnel("app").policy)
        self.client.claim(
            name="app",
            request_headers=[["set", "X-Key", "1"], ["remove", "Cookie"]],
            response_headers=[["add", "X-Frame-Options", "DENY"]],
            path_prefix="/base",
        )
        policy = self.house.tunnel("app").policy
        request = (Edit("set", b"X-Key", b"1"), Edit("remove", b"Cookie"))
        self.assertEqual(policy, HeaderPolicy(request, (Edit("add", b"X-Frame-Options", b"DENY"),), b"/base"))
        self.client.claim(name="app")
        self.assertIsNone(self.house.tunnel("app").policy)

    def test_a_header_policy_that_must_not_be(self) -> None:
        """Refused with a word, and no name is taken by it."""
        for members in (
            {"request_headers": [["set", "Host", "evil"]]},
            {"request_headers": [["set", "X-Forwarded-For", "192.0.2.1"]]},
            {"request_headers": [["destroy", "X-Own", ""]]},
            {"response_headers": [["add", "X-Own", "1\r\nEvil: 1"]]},
            {"response_headers": [["add", "X-Own", "y" * 4000]] * 5},
            {"path_prefix": "/../up"},
            {"path_prefix": "up"},
        ):
            self.assert_refused("bad-policy", name="app", **members)
            self.assertIsNone(self.house.table.by_name("app"))

    def test_a_made_name_is_the_same_for_the_same_target(self) -> None:
        """Released, claimed by a new session, or with the reservations lost: the name is derived, not drawn."""
        name = self.client.claim(key="8080").name
        other = self.client.claim(2, key="9090").name
        self.assertNotEqual(name, other)
        self.client.tell(Release(1))
        self.assertEqual(self.client.claim(1, key="8080").name, name)
        self.assertEqual(self.house.client("one").claim(key="8080").name, name)
        self.assertEqual(House().client("one").claim(key="8080").name, name)

    def test_a_made_name_survives_another_client_with_the_same_first_choice(self) -> None:
        """Who had to take the second choice keeps it when the first becomes free."""
        first = self.client.claim(key="8080").name
        self.client.tell(Release(1))
        self.house.reservations.forget(Place("name", first))
        two = self.house.client("two")
        two.claim(name=first)
        second = self.client.claim(key="8080").name
        self.assertNotEqual(second, first)
        two.tell(Release(1))
        self.house.reservations.forget(Place("name", first))
        self.client.tell(Release(1))
        self.assertEqual(self.client.claim(key="8080").name, second)

    def test_the_same_target_twice_has_two_names_and_keeps_both(self) -> None:
        """Each tunnel has a name of its own, in the same order next time."""
        names = [self.client.claim(number, key="8080").name for number in (1, 2)]
        self.assertEqual(len(set(names)), 2)
        heir = self.house.client("one")
        self.assertEqual([heir.claim(number, key="8080").name for number in (1, 2)], names)

    def test_a_name_of_somebody_else_is_taken_also_while_away(self) -> None:
        """Connected, away or given back: for the time of the reservation it is its owner's."""
        two = self.house.client("two")
        two.claim(name="app")
        self.assert_refused("name-taken", name="app")
        two.tell(Release(1))
        self.assert_refused("name-taken", name="APP")
        two.claim(name="app")
        two.cut()
        self.assert_refused("name-taken", name="app")
        self.house.clock.advance(86_400)
        self.house.table.expire()
        self.assertEqual(self.house.client("three").claim(name="app").name, "app")

    def test_a_host_and_a_port_of_somebody_else_are_taken(self) -> None:
        """As names are."""
        two = self.house.client("two")
        two.claim(1, host="dev.example.org")
        two.claim(2, "tcp", port=20_001)
        self.assert_refused("host-taken", host="dev.example.org")
        self.assert_refused("port-taken", kind="tcp", port=20_001)

    def test_the_same_name_twice_in_one_session_is_taken(self) -> None:
        """Two tunnels cannot stand in one place, even of one client."""
        self.client.claim(1, name="app")
        self.assert_refused("name-taken", tunnel=2, name="app")
        self.assertIsNotNone(self.house.table.by_name("app"))

    def test_claiming_a_number_again_replaces_it(self) -> None:
        """A number stands for one tunnel; the same name may be asked for again."""
        self.client.claim(1, name="app")
        self.client.claim(1, name="app")
        self.client.claim(1, name="other")
        self.assertIsNone(self.house.table.by_name("app"))
        self.assertIsNotNone(self.house.table.by_name("other"))

    def test_claiming_the_same_place_again_interrupts_nothing(self) -> None:
        """The port stays open, and what has begun with the tunnel of before still reaches the client."""
        self.house.table.observers.append(watch := Watch())
        for place, wish in (
            (Place("name", "app"), {"name": "App"}),
            (Place("host", "dev.example.org"), {"host": "DEV.example.org."}),
            (Place("port", "20000"), {"kind": "tcp", "port": 20_000}),
        ):
            with self.subTest(place=place):
                self.client.claim(1, **wish)
                before, seen = self.house.tunnel(place.value, place.kind), list(watch.seen)
                answer = self.client.claim(1, **wish, host_header="b.test")
                self.assertEqual((answer.name, watch.seen), (place.value, seen))
                after = self.house.tunnel(place.value, place.kind)
                self.assertEqual(
                    (after.host_header, before.host_header), ("b.test" if place.kind != "port" else "", "")
                )
                self.assertIs(before.servers.first(), after.servers.first())
                self.assertIsNotNone(before.servers.first())

    def test_a_name_of_the_relays_choice_stays_with_its_target(self) -> None:
        """Claimed again for the same target, or by its name, it stays; for another target there is another."""
        name = self.client.claim(1, key="8080").name
        self.house.table.observers.append(watch := Watch())
        self.assertEqual(self.client.claim(1, key="8080", host_header="b.test").name, name)
        self.assertEqual(self.client.claim(1, name=name, key="8080").name, name)
        self.assertEqual(self.client.claim(1, key="8080").name, name)
        self.assertEqual(watch.seen, [])
        self.assertNotEqual(self.client.claim(1, key="9090").name, name)
        self.assertIsNone(self.house.table.by_name(name))

    def test_a_refused_change_gives_the_name_back(self) -> None:
        """As the protocol says of every refusal."""
        self.client.claim(1, name="app")
        self.assert_refused("bad-protocol", name="app", protocol="h3")
        self.assertIsNone(self.house.table.by_name("app"))
        self.client.claim(1, name="app")
        self.assert_refused("bad-name", name="app", host="dev.example.org")
        self.assertIsNone(self.house.table.by_name("app"))

    def test_who_waits_is_let_in_though_the_tunnel_was_changed_meanwhile(self) -> None:
        """Visitors wait for the place: one that began before the change comes in with the others."""
        self.client.claim(1, name="app")
        before = self.house.tunnel("app")
        self.client.claim(1, name="app", host_header="b.test")
        self.client.cut()
        waiting = before.dialer(Visitor("http", "192.0.2.7", 50_000, "app")).connect(Factory.forProtocol(Recorder))
        self.assertNoResult(waiting)
        self.assertEqual(self.house.room.visitors, 1)
        self.house.client("one").claim(1, name="app")
        self.assertEqual(self.house.room.visitors, 0)
        waiting.addErrback(lambda reason: None)

    def test_bad_wishes_are_refused_with_their_reason(self) -> None:
        """Each with a code of its own, and for good."""
        self.assert_refused("bad-name", name="a.b")
        self.assert_refused("bad-name", name="app", host="dev.example.org")
        self.assert_refused("reserved-name", name="www")
        self.assert_refused("bad-host", host="x.example.com")
        self.assert_refused("bad-host", host="10.0.0.1")
        self.assert_refused("bad-host", name="app", host_header="a\r\nb: c")
        self.assert_refused("bad-host", name="app", host_header="a b")
        self.assert_refused("bad-kind", kind="udp\n")
        self.assert_refused("bad-number", tunnel=0)
        self.assert_refused("port-out-of-range", kind="tcp", port=22)
        self.assert_refused("port-out-of-range", kind="tcp", port=20_003)
        self.assertEqual(len(self.house.reservations), 0)

    def test_one_client_has_a_limit(self) -> None:
        """One tunnel too many is refused; releasing one makes room."""
        for number in range(1, 5):
            self.client.claim(number, key=str(number))
        self.assert_refused("too-many-tunnels", tunnel=5, key="5")
        self.client.tell(Release(1))
        self.client.claim(5, key="5")

    def test_a_tcp_port_by_number_or_any(self) -> None:
        """Any means the first that is free; the URL names it."""
        self.assertEqual(self.client.claim(1, "tcp", port=20_000), Claimed(1, "tcp://example.com:20000", "20000"))
        self.assertEqual(self.client.claim(2, "tcp", key="22").url, "tcp://example.com:20001")
        self.assertEqual(self.house.client("one").claim(2, "tcp", key="22").url, "tcp://example.com:20001")

    def test_ports_that_other_programs_have_are_passed_over(self) -> None:
        """By number it is refused for now; any other will do where any was asked for."""
        self.house.table.observers.append(busy := Busy(20_000))
        self.assert_refused("port-unavailable", retry=True, kind="tcp", port=20_000)
        self.assertEqual(self.house.reservations.owner_of(Place("port", "20000")), None)
        self.assertEqual(self.client.claim(1, "tcp").name, "20001")
        self.assertEqual(busy.open, {"20001"})

    def test_no_port_left_may_pass(self) -> None:
        """All are owned or in use: to be tried again."""
        self.house.table.observers.append(Busy(20_002))
        two = self.house.client("two")
        two.claim(1, "tcp")
        two.claim(2, "tcp")
        self.assert_refused("no-free-port", retry=True, kind="tcp")

    def test_a_relay_without_ports_gives_none(self) -> None:
        """``--tcp-ports none``."""
        self.client = House(HouseLimits(claims=ClaimLimits(ports=range(0)))).client()
        self.assert_refused("bad-kind", kind="tcp")
        self.assert_refused("bad-kind", kind="tcp", port=20_000)

    def test_release_takes_the_name_down_and_keeps_it_reserved(self) -> None:
        """Visitors find nothing there, others cannot have it, the owner gets it again."""
        self.client.claim(name="app")
        self.assertEqual(self.client.tell(Release(1), Release(1), Release(77)), [])
        self.assertIsNone(self.house.table.by_name("app"))
        self.assertEqual(self.house.client("two").refused(name="app").code, "name-taken")
        self.client.claim(name="app")

    def test_what_the_relay_does_not_understand_is_answered(self) -> None:
        """Unknown and unexpected messages are no reason to end a session; a notice is read in silence."""
        answers = self.client.tell(Unknown("mystery"), Hello("t", "c"), Claimed(1, "x"), Notice("hi"))
        self.assertEqual([type(answer) for answer in answers], [Notice] * 3)
        self.assertIn("mystery", str(answers[0]))
        self.client.claim(name="app")

    def test_the_end_of_a_ghost_takes_nothing_from_its_heir(self) -> None:
        """Whatever comes late for the old session, the name is served by the new one."""
        self.client.claim(name="app")
        heir = self.house.client("one")
        heir.claim(name="app")
        self.client.cut()
        self.assertEqual([server.session for server in self.house.tunnel("app").servers], [heir.near.receiver])

    def test_every_change_is_to_be_written_down(self) -> None:
        """Claimed, released, away."""
        seen = [self.house.changes]
        for step in (
            lambda: self.client.claim(1, name="app"),
            lambda: self.client.claim(2, name="other"),
            lambda: self.client.tell(Release(1)),
            self.client.cut,
        ):
            step()
            seen.append(self.house.changes)
        self.assertEqual(seen, sorted(set(seen)))

    def test_claims_are_logged_with_their_client(self) -> None:
        """Claimed, refused, released: a line each, with fields."""
        with capturedLogs() as events:
            self.client.claim(1, name="app")
            self.client.refused(2, name="www")
            self.client.tell(Release(1))
        texts = [event["log_format"] for event in events]
        self.assertEqual([text.split()[0] for text in texts], ["claimed", "refused", "released"])
        self.assertTrue(all(event["client"] == "one" for event in events))

    def test_a_claim_flood_stays_bounded(self) -> None:
        """A thousand names claimed and released leave no more reservations than one owner may have."""
        for number in range(1000):
            self.client.tell(Claim(1, "http", name=f"n{number}"))
        self.assertLessEqual(len(self.house.reservations), self.house.reservations.limits.owned)
