"""What the tests of the whole client share: a relay, an echoing local service and a state folder for each test."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from egtunnel.client.offers import Offer
from egtunnel.client.relay_address import parse_relay
from egtunnel.client.service import Client
from egtunnel.client.targets import parse_target
from egtunnel.errors import EgtunnelError
from tests.client.fake_relay import FakeRelay
from tests.pipes import Recorder

reactor: Any = installed_reactor


class Echo(Protocol):
    """A local service."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Hearer(Recorder):
    """Fires ``enough`` once so many bytes came, ``gone`` when the channel is lost."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.enough: Deferred[bytes] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if len(self.received) >= self.size and not self.enough.called:
            self.enough.callback(self.received)

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.gone.callback(None)


def forget_autobahn_timers() -> None:
    """Autobahn batches its time-outs and leaves an empty batch behind, which trial would call unclean."""
    for call in reactor.getDelayedCalls():
        if getattr(call.func, "__name__", "") == "_notify_bucket":
            call.cancel()


class ServiceCase(TestCase):
    """Each test has a relay, an echoing local service and a state folder."""

    timeout = 20  # of trial: a test that hangs fails

    def setUp(self) -> None:
        self.addCleanup(forget_autobahn_timers)
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.said: list[str] = []
        self.fatal: Deferred[EgtunnelError] = Deferred()
        echo = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
        self.addCleanup(echo.stopListening)
        self.echo = f"127.0.0.1:{echo.getHost().port}"

    def relay(self, port: int = 0, tls: Any = None) -> FakeRelay:
        relay = FakeRelay(reactor, port, tls)
        self.addCleanup(lambda: Deferred.fromCoroutine(relay.stop()))
        return relay

    def client(self, url: str, *targets: str, start: bool = True, share: bool = False, **more: Any) -> Client:
        offers = [
            Offer(parse_target(target), name=f"t{index}", share=share)
            for index, target in enumerate(targets or (self.echo,))
        ]
        client = Client(
            reactor,
            parse_relay(url),
            lambda: "the-token",
            offers,
            state=self.folder,
            say=self.said.append,
            on_fatal=self.fatal.callback,
            **more,
        )
        if start:
            client.startService()
            self.addCleanup(client.stopService)
        return client

    def run_it(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(coroutine)

    async def passing(self) -> None:
        """A short while, for a loop that waits for something."""
        await deferLater(reactor, 0.01)

    async def said_lines(self, count: int) -> list[str]:
        """The lines said, once there are so many."""
        while len(self.said) < count:
            await self.passing()
        return self.said
