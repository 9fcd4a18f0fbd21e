"""Two clients in memory that share a name, and their visitors."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from egtunnel.errors import UpstreamRefused
from egtunnel.interfaces import Visitor
from egtunnel.relay.health import ServerLimits
from tests.pipes import Recorder
from tests.relay.house import House, HouseLimits, MemoryClient
from tests.relay.test_shared_names import shared

__all__ = ["SharedCase"]


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
