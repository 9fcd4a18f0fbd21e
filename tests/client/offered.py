"""A client's tunnels at a real relay's inner parts, in memory: what is claimed, and which service visitors reach."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from egtunnel.client.enrolment import Enrolment
from egtunnel.client.offering import Offering
from egtunnel.client.offers import Offer
from egtunnel.client.targets import parse_target
from egtunnel.client.visitors import Visitors
from egtunnel.errors import ConfigurationError
from egtunnel.interfaces import Visitor
from egtunnel.relay.claims import ClaimLimits
from egtunnel.relay.tunnels import Tunnel
from tests.client.test_visitors import Upstream
from tests.pipes import Recorder
from tests.relay.house import House, HouseLimits

__all__ = ["Offered", "offer"]

UNREACHABLE = "9999"


def offer(target: str, name: str = "", **more: Any) -> Offer:
    """An offer of HTTP, or of what ``more`` says."""
    return Offer(parse_target(target), name=name, **more)


@implementer(IStreamClientEndpoint)
class Service:
    """A local service; ``reached``: the channels that came to it."""

    def __init__(self) -> None:
        self.reached: list[Upstream] = []

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """Take the connection."""
        protocol, transport = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)), Upstream()
        assert protocol is not None
        protocol.makeConnection(transport)
        transport.protocol = protocol
        self.reached.append(transport)
        return succeed(protocol)


class Offered:
    """A client with these offers; messages cross when ``carry`` is called, so that a test can stand in between.

    ``seen``: what came and went at the relay.
    """

    def __init__(self, *offers: Offer) -> None:
        self.house = House(HouseLimits(claims=ClaimLimits(ports=range(20_000, 20_020))))
        self.seen: list[tuple[str, str]] = []
        self.house.table.observers.append(self)
        self.services: dict[str, Service] = {}
        self.said: list[str] = []
        self.client = self.house.client()
        assert self.client.session is not None
        self.session = self.client.session
        self.offering = Offering(offers, self._dial)
        self.enrolment = Enrolment(
            self.offering,
            clock=self.house.clock,
            random=lambda: 0.0,
            say=self.said.append,
            on_claimed=lambda offer, url: None,
        )
        self.visitors = Visitors(self.offering, self.said.append, self.house.clock)
        self.session.on_open = self.visitors.opened
        self.begin()

    def begin(self) -> None:
        """Claim all of it."""
        self.enrolment.begin(self.session)
        self.carry()
        self.seen.clear()
        self.said.clear()

    def _dial(self, offer: Offer) -> Any:
        if offer.target.text == UNREACHABLE:
            raise ConfigurationError("target '9999': no")
        service = self.services.setdefault(offer.target.text, Service())
        return lambda visitor: service

    def claimed(self, tunnel: Tunnel) -> None:
        """An observer's."""
        self.seen.append(("claimed", tunnel.name))

    def released(self, tunnel: Tunnel) -> None:
        """An observer's."""
        self.seen.append(("released", tunnel.name))

    def change(self, *offers: Offer) -> None:
        """The configuration was read again; nothing has crossed yet."""
        self.enrolment.change(offers)

    def carry(self) -> None:
        """Everything crosses."""
        self.house.carry()

    def standing(self) -> dict[int, Tunnel]:
        """The tunnels at the relay by the client's numbers."""
        tunnels = (self.house.table.at(reservation.place) for reservation in self.house.reservations)
        return {server.number: tunnel for tunnel in tunnels if tunnel is not None for server in tunnel.servers}

    def visit(self, name: str, kind: str = "name") -> Recorder:
        """A visitor comes; its channel is on its way."""
        visitor = Recorder()
        tunnel = self.house.tunnel(name, kind)
        endpoint = tunnel.dialer(Visitor("http", "192.0.2.7", 50_000, name))
        endpoint.connect(Factory.forProtocol(lambda: visitor)).addErrback(lambda reason: None)
        return visitor

    def reached(self) -> dict[str, int]:
        """How many channels came to each service."""
        return {text: len(service.reached) for text, service in self.services.items() if service.reached}
