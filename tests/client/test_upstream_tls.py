"""``https://`` targets against a real TLS server on loopback: whom the client believes, and what it says if not."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from egtunnel.client.targets import parse_target
from egtunnel.client.upstream import UpstreamLimits
from egtunnel.client.upstream_tls import TlsTrust
from egtunnel.errors import ConfigurationError, UpstreamRefused, UpstreamSlow
from egtunnel.interfaces import Visitor
from tests.client.certificates import Authority

reactor: Any = installed_reactor
VISITOR = Visitor("http", "192.0.2.7", 50000)


class Echo(Protocol):
    """Says back what it hears."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Listener(Protocol):
    """Waits for some bytes."""

    def __init__(self) -> None:
        self.heard: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard.callback(data)


class TlsTargets(TestCase):
    """One server for each test, on a free port."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.authority = Authority(Path(folder.name))

    def listen(self, *hosts: str, plain: bool = False) -> int:
        """A TLS server with a certificate for ``hosts``; its port."""
        factory = Factory.forProtocol(Echo)
        if plain:
            port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, factory, self.authority.server(*hosts), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def talk(self, target: str, trust: TlsTrust, limits: UpstreamLimits | None = None) -> None:
        """Reach the target and hear an echo."""
        endpoint = parse_target(target).dialer(reactor, trust, limits)(VISITOR)
        listener: Any = await endpoint.connect(Factory.forProtocol(Listener))
        try:
            listener.transport.write(b"hello")
            self.assertEqual(await listener.heard, b"hello")
        finally:
            listener.transport.abortConnection()

    def run_it(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(coroutine)

    def test_a_named_authority_is_believed(self) -> Deferred[None]:
        """--local-ca: the certificate is for the host we named, by name."""
        port = self.listen("localhost")
        return self.run_it(self.talk(f"https://localhost:{port}", TlsTrust(str(self.authority.file))))

    def test_an_address_is_verified_too(self) -> Deferred[None]:
        """A certificate for an IP address."""
        port = self.listen("127.0.0.1")
        return self.run_it(self.talk(f"https://127.0.0.1:{port}", TlsTrust(str(self.authority.file))))

    async def refused(self, target: str, trust: TlsTrust) -> str:
        try:
            await self.talk(target, trust)
        except UpstreamRefused as error:
            return error.text
        raise AssertionError("believed")

    def test_an_unknown_authority_is_not_believed(self) -> Deferred[None]:
        """The system's authorities do not know ours: the dial fails before a byte of a visitor is sent."""

        async def attempt() -> None:
            text = await self.refused(f"https://localhost:{self.listen('localhost')}", TlsTrust())
            self.assertEqual(text, "TLS: nobody that is believed signed the certificate")

        return self.run_it(attempt())

    def test_a_certificate_for_another_host_is_not_believed(self) -> Deferred[None]:
        """Whoever signed it."""

        async def attempt() -> None:
            trust = TlsTrust(str(self.authority.file))
            text = await self.refused(f"https://localhost:{self.listen('other.example')}", trust)
            self.assertEqual(text, "TLS: the certificate is for another name")

        return self.run_it(attempt())

    def test_local_insecure_believes_anybody(self) -> Deferred[None]:
        """A self-made certificate for any name, where the user says so."""
        names: list[bytes | None] = []
        server = self.authority.server("other.example")
        server.getContext().set_tlsext_servername_callback(lambda connection: names.append(connection.get_servername()))
        port = reactor.listenSSL(0, Factory.forProtocol(Echo), server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)

        async def attempt() -> None:
            await self.talk(f"https://localhost:{port.getHost().port}", TlsTrust(verify=False))
            self.assertEqual(names, [b"localhost"])  # a server of several hosts must know which

        return self.run_it(attempt())

    def test_a_server_without_tls_is_refused_in_words(self) -> Deferred[None]:
        """https:// to an http server: it echoes the handshake, which is not one."""

        async def attempt() -> None:
            text = await self.refused(f"https://localhost:{self.listen(plain=True)}", TlsTrust(verify=False))
            self.assertIn("TLS", text)

        return self.run_it(attempt())

    def test_a_server_silent_in_the_handshake_is_slow(self) -> Deferred[None]:
        """The time of a dial includes the handshake; the connection is dropped."""

        async def attempt() -> None:
            lost: Deferred[None] = Deferred()

            class Mute(Protocol):
                def connectionLost(self, reason: object = None) -> None:
                    lost.callback(None)

            listening = reactor.listenTCP(0, Factory.forProtocol(Mute), interface="127.0.0.1")
            self.addCleanup(listening.stopListening)
            with self.assertRaises(UpstreamSlow):
                await self.talk(f"https://127.0.0.1:{listening.getHost().port}", TlsTrust(), UpstreamLimits(dial=0.05))
            await lost

        return self.run_it(attempt())


@pytest.mark.parametrize(
    "content", [None, b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_bad_authority_file_is_an_error_of_configuration(tmp_path: Path, content: bytes | None) -> None:
    """Told at the start, with the file's name, not at the first visitor."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"CA file .*ca\.pem"):
        parse_target("https://localhost:1").dialer(reactor, TlsTrust(str(file)))
