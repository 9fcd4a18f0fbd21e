"""The link over TLS: whom the client believes, what it shows, and what a person reads when that is not enough."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from egtunnel.client.link_tls import RelayTls
from egtunnel.errors import ConfigurationError, Refused
from tests.client.certificates import Authority
from tests.client.service_case import ServiceCase

reactor: Any = installed_reactor


class WithoutCertificate(Resource):
    """A relay with --client-ca that saw none."""

    isLeaf = True
    asked = 0

    def render_GET(self, request: Request) -> bytes:
        self.asked += 1
        request.setResponseCode(403)
        request.setHeader("X-Egtunnel-Error", "certificate-required")
        return b"no"


class LinkTlsTests(ServiceCase):
    """A relay with TLS on loopback."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.folder)
        self.trust = RelayTls(str(self.authority.file))

    def own(self, authority: Authority) -> RelayTls:
        """A client certificate of this authority."""
        file = self.folder / "own.pem"
        file.write_bytes(b"".join(authority.pair("client")))
        file.chmod(0o600)
        return RelayTls(str(self.authority.file), str(file))

    async def line_of(self, host: str, tls: Any, own: RelayTls) -> str:
        """What the client first says of a relay with these properties; it got no token."""
        relay = self.relay(tls=tls)
        client = self.client(f"wss://{host}:{relay.port}", relay_tls=own)
        (line,) = await self.said_lines(1)
        self.assertEqual(relay.hellos, [])
        await client.stopService()
        return line

    def test_names_and_addresses_are_believed_that_stand_in_the_certificate(self) -> Deferred[None]:
        """A DNS name, an IPv4 address; the client speaks TLS 1.2 or newer and offers both links by ALPN."""

        async def talk() -> None:
            for host in ("localhost", "127.0.0.1"):
                offered: list[list[bytes]] = []

                def choose(_: object, protocols: list[bytes], offered: list[list[bytes]] = offered) -> bytes:
                    offered.append(protocols)
                    return protocols[-1]

                tls = self.authority.server(host)
                tls.getContext().set_alpn_select_callback(choose)
                relay = self.relay(tls=tls)
                count = len(self.said)
                client = self.client(f"wss://{host}:{relay.port}", relay_tls=self.trust)
                await self.said_lines(count + 1)
                self.assertEqual(offered, [[b"egtunnel/1", b"http/1.1"]])
                self.assertTrue(relay.links[0].secure)
                await client.stopService()

        return self.run_it(talk())

    def test_a_relay_with_old_tls_only_is_not_spoken_to(self) -> Deferred[None]:
        """TLS 1.1 is no protection any more."""

        async def talk() -> None:
            tls = self.authority.server("localhost")
            context = tls.getContext()
            context.set_cipher_list(b"ALL:@SECLEVEL=0")
            context.set_min_proto_version(SSL.TLS1_VERSION)
            context.set_max_proto_version(SSL.TLS1_1_VERSION)
            line = await self.line_of("localhost", tls, self.trust)
            self.assertIn("TLS: the handshake failed", line)

        return self.run_it(talk())

    def test_a_certificate_for_another_host_is_named_with_its_names(self) -> Deferred[None]:
        """Names and addresses alike; the person reads what to write."""

        async def talk() -> None:
            line = await self.line_of("localhost", self.authority.server("a.example", "b.example"), self.trust)
            self.assertIn("the certificate is for another name (a.example, b.example)", line)
            self.assertIn("not as localhost; trying again", line)
            self.said.clear()
            line = await self.line_of("127.0.0.1", self.authority.server("localhost"), self.trust)
            self.assertIn("the certificate is for another name (localhost)", line)

        return self.run_it(talk())

    def test_a_certificate_that_has_expired_is_waited_for_calmly(self) -> Deferred[None]:
        """It is tried again, with growing waits, and said once; a relay with a new one is taken up."""

        async def talk() -> None:
            relay = self.relay(tls=self.authority.server("localhost", days=-1))
            client = self.client(f"wss://localhost:{relay.port}", relay_tls=self.trust)
            while client.failures < 3:
                await self.passing()
            self.assertEqual(len(self.said), 1)
            self.assertIn("the certificate has expired (on ", self.said[0])
            self.assertIn("renewed on the relay", self.said[0])
            await relay.stop()
            self.relay(relay.port, tls=self.authority.server("localhost"))
            self.assertIn(" -> ", (await self.said_lines(2))[-1])

        return self.run_it(talk())

    def test_a_port_without_tls_is_named_so(self) -> Deferred[None]:
        """wss:// where ws:// would be right."""

        async def talk() -> None:
            class Plain(Protocol):
                def dataReceived(self, data: bytes) -> None:
                    assert self.transport is not None
                    self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

            port = reactor.listenTCP(0, Factory.forProtocol(Plain), interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            client = self.client(f"wss://localhost:{port.getHost().port}", relay_tls=self.trust)
            (line,) = await self.said_lines(1)
            await client.stopService()
            self.assertIn("what answers does not speak TLS", line)
            self.assertIn("does this relay speak ws://?", line)

        return self.run_it(talk())

    def test_a_relay_that_wants_a_certificate_gets_ours(self) -> Deferred[None]:
        """Mutual TLS: signed by the authority that the relay believes."""

        async def talk() -> None:
            relay = self.relay(tls=self.authority.server("localhost", client_ca=self.authority.file))
            self.client(f"wss://localhost:{relay.port}", relay_tls=self.own(self.authority))
            (line,) = await self.said_lines(1)
            self.assertIn(" -> ", line)

        return self.run_it(talk())

    def test_a_certificate_of_another_authority_is_refused_and_not_shown_again_soon(self) -> Deferred[None]:
        """The relay's verdict comes as an alert, after our side of the handshake; a person has to act."""

        async def talk() -> None:
            other = self.folder / "other"
            other.mkdir()
            tls = self.authority.server("localhost", client_ca=self.authority.file)
            line = await self.line_of("localhost", tls, self.own(Authority(other)))
            self.assertIn("the certificate of this side was not accepted", line)
            self.assertIn("signed by the authority of the relay's --client-ca", line)
            self.said.clear()
            tls = self.authority.server("localhost", client_ca=self.authority.file)
            line = await self.line_of("localhost", tls, self.trust)
            self.assertIn("the relay wants one: give --cert FILE --key FILE", line)

        return self.run_it(talk())

    def test_a_relay_that_refuses_links_without_certificate_ends_a_client_that_has_none(self) -> Deferred[None]:
        """403 certificate-required: no further attempt can help; the last words say which options do."""

        async def talk() -> None:
            for scheme, wanted in (("ws", "a wss:// URL and --cert FILE --key FILE"), ("wss", "give --cert FILE")):
                door = WithoutCertificate()
                site: Any = Site(door)
                if scheme == "ws":
                    port = reactor.listenTCP(0, site, interface="127.0.0.1")
                else:
                    port = reactor.listenSSL(0, site, self.authority.server("localhost"), interface="127.0.0.1")
                self.addCleanup(port.stopListening)
                self.fatal = Deferred()
                tls = self.trust if scheme == "wss" else RelayTls()
                self.client(f"{scheme}://localhost:{port.getHost().port}", relay_tls=tls)
                error = await self.fatal
                self.assertIsInstance(error, Refused)
                self.assertIn(wanted, error.text)
                self.assertEqual(door.asked, 1)

        return self.run_it(talk())

    def test_a_certificate_that_got_lost_on_the_way_is_shown_again_later(self) -> Deferred[None]:
        """With --cert, the same answer means that something in between ended the TLS; that may be put right."""

        async def talk() -> None:
            door = WithoutCertificate()
            site: Any = Site(door)
            port = reactor.listenSSL(0, site, self.authority.server("localhost"), interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            client = self.client(f"wss://localhost:{port.getHost().port}", relay_tls=self.own(self.authority))
            (line,) = await self.said_lines(1)
            self.assertIn("does a proxy in between end the TLS?; trying again", line)
            self.assertEqual((client.failures, door.asked), (1, 1))
            later = [call.getTime() - reactor.seconds() for call in reactor.getDelayedCalls()]
            self.assertTrue(any(seconds > 25 for seconds in later), later)
            await client.stopService()

        return self.run_it(talk())

    def test_a_new_certificate_of_ours_is_used_at_the_next_connection(self) -> Deferred[None]:
        """The files are read anew each time; while they are no good, the client waits and says so."""

        async def talk() -> None:
            relay = self.relay(tls=self.authority.server("localhost", client_ca=self.authority.file))
            own = self.own(self.authority)
            client = self.client(f"wss://localhost:{relay.port}", relay_tls=own)
            await self.said_lines(1)
            links: list[Any] = relay.links
            seen = links[0].transport.getPeerCertificate().get_serial_number()
            pem = self.folder / "own.pem"
            pem.write_text("being written")
            relay.links[0].abort()
            while client.failures < 2:
                await self.passing()
            self.assertTrue(any("it holds no PEM certificate" in line for line in self.said), self.said)
            self.own(self.authority)
            await relay.until(lambda: len(relay.hellos) == 2)
            self.assertNotEqual(links[1].transport.getPeerCertificate().get_serial_number(), seen)

        return self.run_it(talk())

    def test_what_is_doubtful_is_said_at_the_start(self) -> Deferred[None]:
        """A key that everybody on the machine can read."""

        async def talk() -> None:
            relay = self.relay(tls=self.authority.server("localhost"))
            own = self.own(self.authority)
            (self.folder / "own.pem").chmod(0o644)
            self.client(f"wss://localhost:{relay.port}", relay_tls=own)
            lines = await self.said_lines(2)
            self.assertIn("every user of this machine can read the private key", lines[0])
            self.assertIn(" -> ", lines[1])

        return self.run_it(talk())

    def test_a_client_cut_off_in_the_handshake_tries_again(self) -> Deferred[None]:
        """A port that accepts and hangs up."""

        async def talk() -> None:
            class Rude(Protocol):
                def connectionMade(self) -> None:
                    assert self.transport is not None
                    self.transport.loseConnection()

            port = reactor.listenTCP(0, Factory.forProtocol(Rude), interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            client = self.client(f"wss://localhost:{port.getHost().port}", relay_tls=self.trust)
            (line,) = await self.said_lines(1)
            self.assertIn("during the TLS handshake", line)
            await client.stopService()

        return self.run_it(talk())

    def test_bad_files_are_an_error_of_configuration(self) -> None:
        """Raised before anything is tried."""
        for tls in (RelayTls("/nowhere/ca.pem"), RelayTls("", "/nowhere/cert.pem"), RelayTls("", "", "/a/key.pem")):
            with self.assertRaises(ConfigurationError):
                self.client("wss://localhost:1", relay_tls=tls, start=False)
