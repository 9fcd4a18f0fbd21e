"""How the whole client ends, or does not: refusals, a second self, an orderly stop."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from egtunnel.client.service import ClientLimits
from egtunnel.errors import Refused, Revoked, ShuttingDown, Superseded
from egtunnel.session.messages import Hello, Message, RefusedMessage
from tests.client.fake_relay import welcome
from tests.client.service_case import Hearer, ServiceCase

reactor: Any = installed_reactor


class EndingTests(ServiceCase):
    """Against a small relay over real sockets on loopback."""

    def refused_with(self, answer: RefusedMessage) -> Deferred[None]:
        async def talk() -> None:
            relay = self.relay()
            relay.greet = lambda hello: answer
            self.client(f"ws://127.0.0.1:{relay.port}")
            error = await self.fatal
            self.assertIsInstance(error, Refused)
            self.assertEqual(error.text, answer.text)
            self.assertEqual(self.said, [])
            self.assertEqual(len(relay.hellos), 1)

        return self.run_it(talk())

    def test_a_wrong_token_is_fatal(self) -> Deferred[None]:
        """One attempt, no line but the last."""
        return self.refused_with(RefusedMessage("bad-token", "the relay does not know this token"))

    def test_a_version_too_new_is_fatal(self) -> Deferred[None]:
        """Trying again cannot help."""
        return self.refused_with(RefusedMessage("version", "this relay speaks version 1"))

    def test_a_refusal_for_now_is_tried_again(self) -> Deferred[None]:
        """After at least as long as the relay asks for."""

        async def talk() -> None:
            relay = self.relay()
            times: list[float] = []

            def greet(hello: Hello) -> Message:
                times.append(reactor.seconds())
                relay.greet = welcome
                return RefusedMessage("over-limit", "too many clients", retry=True, after=0.5)

            relay.greet = greet
            self.client(f"ws://127.0.0.1:{relay.port}")
            self.assertEqual(await self.said_lines(2), ["too many clients; trying again", self.said[1]])
            self.assertEqual(self.said[1], f"http://t0.localhost -> {self.echo}")
            self.assertGreaterEqual(reactor.seconds() - times[0], 0.5)

        return self.run_it(talk())

    def test_a_name_taken_is_fatal(self) -> Deferred[None]:
        """The only tunnel refused: the client leaves and says why."""

        async def talk() -> None:
            relay = self.relay()
            relay.grant = lambda claim: RefusedMessage("name-taken", "t0 is taken", tunnel=claim.tunnel)
            self.client(f"ws://127.0.0.1:{relay.port}")
            error = await self.fatal
            self.assertEqual(error.text, "t0 is taken")
            await relay.until(lambda: bool(relay.ends))

        return self.run_it(talk())

    def test_a_second_client_with_our_identity_is_fatal(self) -> Deferred[None]:
        """Two would throw each other out for ever."""

        async def talk() -> None:
            relay = self.relay()
            self.client(f"ws://127.0.0.1:{relay.port}")
            await self.said_lines(1)
            relay.sessions[0].close(Superseded())
            self.assertIsInstance(await self.fatal, Superseded)
            self.assertEqual(len(self.said), 1)

        return self.run_it(talk())

    def test_a_token_that_is_no_longer_good_is_fatal(self) -> Deferred[None]:
        """Nothing is said but why, and nothing is tried again."""

        async def talk() -> None:
            relay = self.relay()
            self.client(f"ws://127.0.0.1:{relay.port}")
            await self.said_lines(1)
            relay.sessions[0].close(Revoked("this token was revoked"))
            error = await self.fatal
            self.assertEqual((type(error), error.text), (Revoked, "this token was revoked"))
            self.assertEqual(len(self.said), 1)

        return self.run_it(talk())

    def test_two_clients_with_the_same_tunnels_are_two(self) -> Deferred[None]:
        """On one account, with one state folder."""

        async def talk() -> None:
            relay = self.relay()
            for _ in range(2):
                self.client(f"ws://127.0.0.1:{relay.port}")
            await self.said_lines(2)
            self.assertEqual(len({hello.client_id for hello in relay.hellos}), 2)

        return self.run_it(talk())

    def test_a_client_that_stops_says_so(self) -> Deferred[None]:
        """The relay need not guess; the stop waits until the link is gone; the identity is free again."""

        async def talk() -> None:
            relay = self.relay()
            client = self.client(f"ws://127.0.0.1:{relay.port}", start=False)
            client.startService()
            await self.said_lines(1)
            await client.stopService()
            await relay.until(lambda: bool(relay.ends))
            self.assertIsInstance(relay.ends[0], ShuttingDown)
            second = self.client(f"ws://127.0.0.1:{relay.port}")
            await relay.until(lambda: len(relay.hellos) == 2)
            self.assertEqual(relay.hellos[0].client_id, relay.hellos[1].client_id)
            await second.stopService()

        return self.run_it(talk())

    def test_a_client_that_shares_its_name_serves_on_for_a_while(self) -> Deferred[None]:
        """It gives the name back at once, and goes when its visitors have gone."""

        async def talk() -> None:
            relay = self.relay()
            client = self.client(f"ws://127.0.0.1:{relay.port}", share=True, start=False)
            client.startService()
            await self.said_lines(1)
            visitor = Hearer(5)
            channel = relay.sessions[0].open({"tunnel": 1})
            channel.connect_protocol(visitor)
            channel.write(b"first")
            await visitor.enough
            stopping = client.stopService()
            await relay.until(lambda: relay.released == [1])
            visitor.enough, visitor.size = Deferred(), 11
            channel.write(b"second")
            self.assertEqual(await visitor.enough, b"firstsecond")
            self.assertEqual((stopping.called, relay.ends), (False, []))
            channel.loseConnection()
            await stopping
            await relay.until(lambda: bool(relay.ends))
            self.assertIn("serving those there are", self.said[-1])

        return self.run_it(talk())

    def test_it_does_not_serve_on_for_ever(self) -> Deferred[None]:
        """Nor at all without time for it."""

        async def talk() -> None:
            for seconds in (0.2, 0.0):
                relay = self.relay()
                limits = ClientLimits(drain=seconds)
                client = self.client(f"ws://127.0.0.1:{relay.port}", share=True, start=False, limits=limits)
                client.startService()
                await relay.until(lambda relay=relay: bool(relay.sessions))  # type: ignore[misc]
                visitor = Hearer(5)
                channel = relay.sessions[0].open({"tunnel": 1})
                channel.connect_protocol(visitor)
                channel.write(b"first")
                await visitor.enough
                await client.stopService()
                await visitor.gone
                self.assertEqual(relay.released, [1] if seconds else [])

        return self.run_it(talk())

    def test_a_client_stopped_while_it_connects_leaves_nothing(self) -> Deferred[None]:
        """A relay that takes the connection and says nothing."""

        async def talk() -> None:
            lost: Deferred[None] = Deferred()

            class Mute(Protocol):
                def dataReceived(self, data: bytes) -> None:
                    made.callback(data)

                def connectionLost(self, reason: object = None) -> None:
                    lost.callback(None)

            made: Deferred[bytes] = Deferred()
            mute = reactor.listenTCP(0, Factory.forProtocol(Mute), interface="127.0.0.1")
            self.addCleanup(mute.stopListening)
            client = self.client(f"ws://127.0.0.1:{mute.getHost().port}", start=False)
            client.startService()
            self.assertTrue((await made).startswith(b"GET /connect HTTP/1.1"))
            await client.stopService()
            await lost.addTimeout(3, reactor)  # well before Autobahn would give up

        return self.run_it(talk())
