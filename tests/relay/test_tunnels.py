"""How visitors reach a tunnel: at once, after its owner's return, or not."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from egtunnel.errors import ClientAway, LinkLost, Refused, UnknownTunnel
from egtunnel.interfaces import ITunnel, ITunnels, Visitor
from egtunnel.policy import HeaderPolicy
from egtunnel.relay.reservations import Reservations
from egtunnel.relay.tunnels import Tunnel
from egtunnel.session.messages import Release
from tests.pipes import Recorder
from tests.relay.house import House

VISITOR = Visitor("http", "203.0.113.7", 40_000, "app")


class TunnelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = House()
        self.client = self.house.client()
        self.client.claim(7, name="app")
        self.tunnel = self.house.tunnel("app")

    def dial(self) -> Deferred[Any]:
        dialing: Deferred[Any] = self.tunnel.dialer(VISITOR).connect(Factory.forProtocol(Recorder))
        self.house.carry()
        return dialing

    def test_the_seams_are_kept(self) -> None:
        """What an ingress relies on is there."""
        verifyObject(ITunnels, self.house.table)
        verifyObject(ITunnel, self.tunnel)

    def test_what_was_claimed_stays_while_the_owner_is_away(self) -> None:
        """Protocol and policy of the last claim hold for the visitors who wait; the next claim brings its own."""
        self.client.claim(8, name="rpc", protocol="h2c", path_prefix="/base")
        tunnel = self.house.tunnel("rpc")
        self.client.cut()
        self.house.carry()
        self.assertEqual(len(tunnel.servers), 0)
        self.assertEqual((tunnel.protocol, tunnel.policy), ("h2c", HeaderPolicy(path_prefix=b"/base")))
        self.house.client().claim(1, name="rpc")
        self.assertIs(self.house.tunnel("rpc"), tunnel)
        self.assertEqual((tunnel.protocol, tunnel.policy), ("http/1.1", None))

    def test_a_visitor_becomes_a_channel_at_once(self) -> None:
        """The client learns which tunnel it is and who asks; bytes go both ways."""
        protocol = self.successResultOf(self.dial())
        self.assertEqual(
            self.client.opened[-1][1],
            {"tunnel": 7, "kind": "http", "host": "203.0.113.7", "port": 40_000, "name": "app"},
        )
        far = self.client.accept()
        protocol.transport.write(b"hello")
        far.transport.write(b"world")  # type: ignore[union-attr]
        self.house.carry()
        self.assertEqual((far.received, protocol.received), (b"hello", b"world"))

    def test_visitors_wait_for_an_owner_who_is_away(self) -> None:
        """They go on when it has claimed the name again, under its number of then; open ones have ended."""
        before = self.successResultOf(self.dial())
        self.client.cut()
        self.house.carry()
        self.assertIsInstance(before.error, LinkLost)
        waiting = self.dial()
        self.house.clock.advance(9)
        self.assertNoResult(waiting)
        heir = self.house.client()
        self.assertNoResult(waiting)
        heir.claim(3, name="app")
        self.successResultOf(waiting)
        self.house.carry()
        self.assertEqual([metadata["tunnel"] for _, metadata in heir.opened], [3])
        self.assertIs(self.house.table.by_name("app"), self.tunnel)

    def test_visitors_do_not_wait_for_ever(self) -> None:
        """After the hold they hear that the client is away; the name stays known."""
        self.client.cut()
        waiting = self.dial()
        self.house.clock.advance(10)
        self.failureResultOf(waiting, ClientAway)
        self.assertIs(self.house.table.by_name("app"), self.tunnel)

    def test_a_visitor_who_leaves_while_waiting_opens_no_channel(self) -> None:
        """Cancelled is cancelled, also when the owner returns."""
        self.client.cut()
        waiting = self.dial()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        heir = self.house.client()
        heir.claim(name="app")
        self.assertEqual(heir.opened, [])

    def test_visitors_of_a_name_that_expires_or_is_given_back_hear_it(self) -> None:
        """A waiting visitor is not held for a name that is gone; a dialer kept from before fails likewise."""
        self.client.cut()
        waiting = self.dial()
        heir = self.house.client()
        self.assertNoResult(waiting)
        heir.claim(1, name="app")
        self.successResultOf(waiting)
        heir.tell(Release(1))
        self.assertIsNone(self.house.table.by_name("app"))
        self.house.clock.advance(0)
        late = self.dial()
        self.house.clock.advance(10)
        self.failureResultOf(late, ClientAway)

    def test_a_tunnel_ends_with_its_reservation(self) -> None:
        """Away for a day: the name is unknown, whoever waits hears so, and observers are told."""
        told: list[str] = []

        class Observer:
            def claimed(self, tunnel: Tunnel) -> None:
                told.append(f"claimed {tunnel.name}")

            def released(self, tunnel: Tunnel) -> None:
                told.append(f"released {tunnel.name}")

        self.house.table.observers.append(Observer())
        self.client.cut()
        self.house.clock.advance(86_399)
        self.house.table.expire()
        self.assertIs(self.house.table.by_name("app"), self.tunnel)
        waiting = self.dial()
        self.house.clock.advance(1)
        self.house.table.expire()
        self.failureResultOf(waiting, UnknownTunnel)
        self.assertIsNone(self.house.table.by_name("app"))
        self.assertEqual(told, ["released app"])

    def test_a_restarted_relay_knows_the_names_whose_owners_are_away(self) -> None:
        """Visitors wait for the owners' return as if the relay had never been gone; names given back are unknown."""
        self.client.claim(8, name="old")
        self.client.claim(9, "tcp", port=20_005)
        self.client.tell(Release(8))
        kept = json.loads(json.dumps(self.house.reservations.to_json(self.house.clock.seconds(), 1e9)))
        reservations = Reservations()
        reservations.load(kept, 0.0, 1e9)
        self.house = House(reservations=reservations)
        told: list[str] = []

        class Observer:
            def claimed(self, tunnel: Tunnel) -> None:
                told.append(tunnel.name)
                if tunnel.kind == "tcp":
                    raise Refused("port-unavailable", "in use")

            def released(self, tunnel: Tunnel) -> None:
                raise NotImplementedError

        self.house.table.observers.append(Observer())
        self.house.table.restore()
        self.assertEqual(sorted(told), ["20005", "app"])
        self.assertIsNone(self.house.table.by_name("old"))
        self.tunnel = self.house.tunnel("app")
        waiting = self.dial()
        self.assertNoResult(waiting)
        self.assertEqual(self.house.client("other").refused(name="app").code, "name-taken")
        self.house.client("one").claim(name="app")
        self.successResultOf(waiting)
