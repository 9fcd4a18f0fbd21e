"""Claims of TLS names, UDP ports and visits: where they stand, whose they are, and what scopes say of them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from egtunnel.access.scope import PortRange, Scope
from egtunnel.errors import Refused
from egtunnel.relay.claims import ClaimLimits
from egtunnel.relay.visits import check_visit, private_owner
from egtunnel.session.messages import Claim, Claimed, Release
from tests.relay.house import House, HouseLimits


class KindTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House(HouseLimits(claims=ClaimLimits(udp_ports=range(21_000, 21_002))))
        self.client = self.house.client("one")

    def refused(self, reason: str, number: int = 1, client: Any = None, **wish: Any) -> None:
        self.assertEqual((client or self.client).refused(number, **wish).code, reason)

    # -- tls

    def test_a_tls_name_and_a_tls_host(self) -> None:
        """Both are found by the whole host name; a host below the relay's domain is a name."""
        self.assertEqual(self.client.claim(1, "tls", name="App").url, "tls://app.example.com:7070")
        self.assertEqual(self.client.claim(2, "tls", host="Own.Example.org.").name, "own.example.org")
        self.assertEqual(self.client.claim(3, "tls", host="two.example.com").name, "two.example.com")
        for host in ("app.example.com", "OWN.example.org", "two.example.com."):
            tunnel = self.house.table.by_tls(host)
            assert tunnel is not None
            self.assertEqual(tunnel.kind, "tls")
        self.assertIsNone(self.house.table.by_name("app"))

    def test_a_host_name_is_one_owners_for_all_kinds(self) -> None:
        """Whoever had it first, in either way, until it is forgotten."""
        two = self.house.client("two")
        self.client.claim(1, "tls", name="app")
        self.client.claim(2, name="app")
        self.client.claim(3, host="own.example.org")
        self.refused("name-taken", client=two, name="app")
        self.refused("name-taken", client=two, kind="tls", host="own.example.org")
        self.client.tell(Release(1), Release(2))
        self.refused("name-taken", client=two, kind="tls", name="app")

    def test_tls_tunnels_need_a_name_and_no_rules_of_http(self) -> None:
        """And neither cookies nor links."""
        self.refused("bad-name", kind="tls")
        self.refused("bad-name", kind="tls", name="app", host="own.example.org")
        self.refused("bad-name", kind="tls", name="app", host="two.example.com")
        self.refused("reserved-name", kind="tls", host="www.example.com")
        self.refused("bad-host", kind="tls", host="localhost")
        self.refused("bad-policy", kind="tls", name="app", share=True, sticky="cookie")

    def test_a_host_below_the_domain_is_judged_as_the_name_that_it_is(self) -> None:
        """A scope of names is not got around by writing the name as a host."""
        self.house.scope = Scope(names=("demo-*",), hosts=None)
        self.client = self.house.client("scoped")
        self.refused("scope-names", kind="tls", host="app.example.com")
        self.client.claim(2, "tls", host="demo-a.example.com")

    def test_the_same_claim_again_changes_nothing(self) -> None:
        """Nothing is interrupted; another name is another tunnel."""
        self.client.claim(1, "tls", name="app")
        tunnel = self.house.table.by_tls("app.example.com")
        self.client.claim(1, "tls", host="app.example.com")
        self.assertIs(self.house.table.by_tls("app.example.com"), tunnel)
        self.client.claim(1, "tls", name="other")
        self.assertIsNone(self.house.table.by_tls("app.example.com"))

    # -- udp

    def test_udp_ports_are_beside_those_of_tcp(self) -> None:
        """The same number may be both; any means the first that is free, the same again for the same key."""
        self.house = House(
            HouseLimits(claims=ClaimLimits(ports=range(20_000, 20_002), udp_ports=range(20_000, 20_002)))
        )
        client = self.house.client("one")
        self.assertEqual(client.claim(1, "tcp", port=20_000).url, "tcp://example.com:20000")
        self.assertEqual(client.claim(2, "udp", port=20_000).url, "udp://example.com:20000")
        self.assertEqual(client.claim(3, "udp", key="53").name, "20001")
        self.assertEqual(self.house.client("one").claim(3, "udp", key="53").name, "20001")

    def test_udp_ports_that_cannot_be_had(self) -> None:
        """Out of range, taken, all gone, none at all."""
        self.refused("port-out-of-range", kind="udp", port=20_000)
        two = self.house.client("two")
        two.claim(1, "udp", port=21_000)
        self.refused("port-taken", kind="udp", port=21_000)
        two.claim(2, "udp")
        self.refused("no-free-port", kind="udp")
        self.client = House(HouseLimits(claims=ClaimLimits(udp_ports=range(0)))).client()
        self.refused("bad-kind", kind="udp")

    def test_a_scope_names_its_udp_ports(self) -> None:
        """Also those that the relay chooses."""
        self.house.scope = Scope(udp_ports=(PortRange(21_001, 21_001),))
        self.client = self.house.client("scoped")
        self.refused("scope-udp-ports", kind="udp", port=21_000)
        self.assertEqual(self.client.claim(2, "udp").name, "21001")


class Manner:
    def __init__(self, access: str) -> None:
        self.access = access


class Tunnel:
    def __init__(self, access: str) -> None:
        self.manner = Manner(access)


class Tunnels:
    """Three tunnels of which one is Ann's private one."""

    def by_name(self, name: str) -> Any:
        rules = {"db": '{"private":{"owner":"ann"}}', "web": "", "odd": '{"allow":["private"]}'}
        return Tunnel(rules[name]) if name in rules else None


class VisitTests(SynchronousTestCase):
    def check(self, name: str, holder: str, scope: Scope | None = None) -> str:
        tunnels: Any = Tunnels()
        return check_visit(Claim(tunnel=1, kind="visit", name=name), tunnels, holder, scope)

    def refused(self, reason: str, name: str, holder: str, scope: Scope | None = None) -> Refused:
        caught: Refused = self.assertRaises(Refused, self.check, name, holder, scope)
        self.assertEqual(caught.reason, reason)
        return caught

    def test_who_may_visit(self) -> None:
        """The relay's own token, the same owner's, and one whose scope names it."""
        for holder, scope in (("", None), ("ann", None), ("ann", Scope()), ("bob", Scope(visits=("d*",)))):
            self.assertEqual(self.check("DB", holder, scope), "db")

    def test_who_may_not(self) -> None:
        """Another owner's; the same one's, where the scope names others."""
        self.refused("scope-visits", "db", "bob")
        self.refused("scope-visits", "db", "bob", Scope())
        self.refused("scope-visits", "db", "ann", Scope(visits=()))
        self.refused("scope-visits", "db", "ann", Scope(visits=("other-*",)))

    def test_what_is_not_private(self) -> None:
        """The word alone makes no rule; what is not there may come."""
        self.refused("not-private", "web", "")
        self.refused("not-private", "odd", "")
        self.assertTrue(self.refused("no-private-tunnel", "nothing", "").retry)
        self.assertIsNone(private_owner(None))

    def test_a_visit_is_a_claim_that_binds_nothing(self) -> None:
        """It counts as one, is answered as one, and is given back as one."""
        house = House(HouseLimits(claims=ClaimLimits(tunnels=1)))
        client = house.client("one")
        self.assertEqual(client.refused(1, kind="visit", name="db").code, "no-private-tunnel")
        house.table.by_name = Tunnels().by_name  # type: ignore[method-assign]
        self.assertEqual(client.claim(1, "visit", name="db"), Claimed(1, "private://db", "db"))
        self.assertEqual(house.granted, [Claimed(1, "private://db", "db")])
        self.assertEqual(client.refused(2, kind="visit", name="db").code, "too-many-tunnels")
        client.tell(Release(1))
        client.claim(2, "visit", name="db")
