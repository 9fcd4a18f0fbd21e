"""The whole client at work, against a small relay over real sockets on loopback."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from egtunnel.client.link_tls import RelayTls
from egtunnel.client.offers import Offer
from egtunnel.client.relay_address import parse_relay
from egtunnel.client.service import Client
from egtunnel.client.targets import parse_target
from egtunnel.errors import ConfigurationError, UpstreamRefused
from egtunnel.mux.frames import FrameType, encode
from egtunnel.session import messages
from egtunnel.session.messages import Notice, Welcome
from tests.client.certificates import Authority
from tests.client.service_case import Hearer, ServiceCase

reactor: Any = installed_reactor


class ServingTests(ServiceCase):
    """Connecting, serving, connecting again."""

    def test_a_visitor_reaches_the_local_service_and_hears_its_answer(self) -> Deferred[None]:
        """Hello, claim, URL line, channel, echo, half-close, end."""

        async def talk() -> None:
            relay = self.relay()
            claimed: list[tuple[Offer, str]] = []
            self.client(f"ws://127.0.0.1:{relay.port}", on_claimed=lambda *news: claimed.append(news))
            self.assertEqual(await self.said_lines(1), [f"http://t0.localhost -> {self.echo}"])
            self.assertEqual(relay.hellos[0].token, "the-token")
            self.assertRegex(relay.hellos[0].client_id, "^[0-9a-f]{32}$")
            self.assertEqual([url for _, url in claimed], ["http://t0.localhost"])
            data = bytes(range(256)) * 4000  # more than any window
            hearer = Hearer(len(data))
            channel = relay.sessions[0].open({"tunnel": 1, "kind": "http", "host": "192.0.2.1", "port": 5})
            channel.connect_protocol(hearer)
            channel.write(data)
            self.assertEqual(await hearer.enough, data)
            channel.loseWriteConnection()
            await hearer.gone
            self.assertTrue(hearer.read_ended)

        return self.run_it(talk())

    def test_a_closed_local_port_is_told_to_both_sides(self) -> Deferred[None]:
        """The relay hears the code, the person a line; the tunnel stays."""

        async def talk() -> None:
            relay = self.relay()
            probe = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
            target = f"127.0.0.1:{probe.getHost().port}"
            await probe.stopListening()
            self.client(f"ws://127.0.0.1:{relay.port}", target)
            await self.said_lines(1)
            hearer = Hearer(1)
            relay.sessions[0].open({"tunnel": 1}).connect_protocol(hearer)
            await hearer.gone
            self.assertIsInstance(hearer.error, UpstreamRefused)
            self.assertEqual(self.said[1], f"{target}: connection refused; its visitors get an error")
            self.assertEqual(relay.ends, [])

        return self.run_it(talk())

    def test_a_relay_that_comes_back_is_found_again(self) -> Deferred[None]:
        """Killed and started on the same port: same identity, same names, short lines."""

        async def talk() -> None:
            relay = self.relay()
            self.client(f"ws://127.0.0.1:{relay.port}")
            await self.said_lines(1)
            await relay.stop()
            await self.said_lines(2)
            again = self.relay(relay.port)
            await again.until(lambda: bool(again.hellos))
            while "connected again" not in self.said:
                await deferLater(reactor, 0.01)
            self.assertEqual(again.hellos[0].client_id, relay.hellos[0].client_id)
            self.assertIn("the connection to the relay is lost", self.said[1])

        return self.run_it(talk())

    def test_the_first_frames_may_come_with_the_welcome(self) -> Deferred[None]:
        """They are the session's."""

        async def talk() -> None:
            relay = self.relay()
            relay.behind = [encode(FrameType.MESSAGE, 0, messages.encode(Notice("be quick")))]
            self.client(f"ws://127.0.0.1:{relay.port}")
            self.assertEqual((await self.said_lines(2))[0], "the relay says: be quick")

        return self.run_it(talk())

    def test_a_heartbeat_asked_for_is_kept_within_bounds(self) -> Deferred[None]:
        """A relay can make us neither ping without pause nor never."""

        async def talk() -> None:
            for asked, kept in ((0.0, 1.0), (20.0, 20.0), (1e8, 60.0)):
                relay = self.relay()
                relay.greet = lambda _, asked=asked: Welcome(session_id="s", heartbeat=asked)  # type: ignore[misc]
                client = self.client(f"ws://127.0.0.1:{relay.port}")
                await relay.until(lambda relay=relay: bool(relay.sessions))  # type: ignore[misc]
                while client.session is None:
                    await deferLater(reactor, 0.01)
                self.assertEqual(client.session.limits.heartbeat, kept)

        return self.run_it(talk())

    def test_a_relay_that_is_not_there_makes_one_calm_line(self) -> Deferred[None]:
        """However many attempts; and it is found when it comes."""

        async def talk() -> None:
            probe = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
            port = probe.getHost().port
            await probe.stopListening()
            client = self.client(f"ws://127.0.0.1:{port}")
            await deferLater(reactor, 0.7)
            self.assertEqual(
                self.said,
                [f"cannot reach the relay at ws://127.0.0.1:{port}/connect: connection refused; trying again"],
            )
            self.assertGreater(client.failures, 1)
            self.relay(port)
            self.assertEqual((await self.said_lines(2))[1], f"http://t0.localhost -> {self.echo}")
            self.assertEqual(client.failures, 0)

        return self.run_it(talk())

    def test_a_web_server_that_is_no_relay_is_named_so(self) -> Deferred[None]:
        """404 in place of a WebSocket."""

        async def talk() -> None:
            site = reactor.listenTCP(0, Site(Resource()), interface="127.0.0.1")
            self.addCleanup(site.stopListening)
            client = self.client(f"ws://127.0.0.1:{site.getHost().port}")
            (line,) = await self.said_lines(1)
            self.assertIn("404", line)
            self.assertIn("trying again", line)
            await client.stopService()

        return self.run_it(talk())

    def test_a_relay_over_tls_is_verified(self) -> Deferred[None]:
        """wss with an authority that we were told to believe; the token went encrypted."""

        async def talk() -> None:
            authority = Authority(self.folder)
            relay = self.relay(tls=authority.server("localhost"))
            self.client(f"wss://localhost:{relay.port}", relay_tls=RelayTls(str(authority.file)))
            await self.said_lines(1)
            self.assertTrue(relay.links[0].secure)

        return self.run_it(talk())

    def test_a_relay_with_an_unknown_certificate_gets_no_token(self) -> Deferred[None]:
        """It is not told anything, and the person reads why."""

        async def talk() -> None:
            relay = self.relay(tls=Authority(self.folder).server("localhost"))
            self.client(f"wss://localhost:{relay.port}")
            (line,) = await self.said_lines(1)
            self.assertIn("nobody that is believed signed the certificate", line)
            self.assertEqual(relay.hellos, [])

        return self.run_it(talk())

    def test_a_state_folder_that_cannot_be_made_is_no_end(self) -> Deferred[None]:
        """One line says what that means; the tunnel works."""

        async def talk() -> None:
            relay = self.relay()
            (self.folder / "client").write_text("in the way")
            self.client(f"ws://127.0.0.1:{relay.port}")
            lines = await self.said_lines(2)
            self.assertIn("cannot keep state", lines[0])
            self.assertIn(" -> ", lines[1])

        return self.run_it(talk())


@pytest.mark.parametrize(("url", "longest"), [("ws://127.0.0.1:7070", 2.0), ("wss://192.0.2.1", 30.0)])
def test_a_relay_that_stays_away_is_tried_for_ever(url: str, longest: float) -> None:
    """With growing waits up to half a minute; to one on this machine, where trying is cheap, up to two seconds."""
    clock: Any = MemoryReactorClock()
    client = Client(clock, parse_relay(url), lambda: "t", [Offer(parse_target("8080"))], random=lambda: 0.999)
    client.startService()
    waits = []
    for attempt in range(1, 20):
        assert len(clock.tcpClients) == attempt
        clock.tcpClients[-1][2].clientConnectionFailed(clock.connectors[-1], Failure(ConnectionRefusedError()))
        (call,) = clock.getDelayedCalls()
        left = call.getTime() - clock.seconds()
        waits.append(round(left, 6))
        clock.advance(left + 0.000001)
    assert waits == sorted(waits)
    assert 0.1 <= waits[0] < 0.2
    assert longest * 0.99 < waits[-1] <= longest


@pytest.mark.parametrize("url", ["ws://relay.example.com", "http://192.0.2.1:7070"])
def test_the_token_never_goes_unencrypted_to_another_machine(url: str) -> None:
    """Unless --insecure says so; the error names that option."""
    offers = [Offer(parse_target("8080"))]
    with pytest.raises(ConfigurationError, match="--insecure"):
        Client(reactor, parse_relay(url), lambda: "the-token", offers)
    assert Client(reactor, parse_relay(url), lambda: "the-token", offers, insecure=True)
    assert Client(reactor, parse_relay(url.replace("ws:", "wss:").replace("http:", "https:")), lambda: "t", offers)
