"""Channels that the relay opens, joined to local services that the test plays."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from zope.interface import implementer

from egtunnel.client.offering import Offering
from egtunnel.client.offers import Offer
from egtunnel.client.targets import parse_target
from egtunnel.client.visitors import Visitors
from egtunnel.errors import UnknownTunnel, UpstreamRefused
from egtunnel.interfaces import Visitor
from egtunnel.mux.budget import Budget
from egtunnel.mux.frames import FIN, U16, U32, Frame, FrameType, encode
from egtunnel.session.session import Role, Session, SessionLimits
from tests.client.links import MemoryLink

OPEN = b'{"tunnel":1,"kind":"http","host":"192.0.2.7","port":50000,"name":"app"}'


class Upstream(StringTransport):
    """The local service's transport, which remembers how it ended."""

    aborted = False
    write_ended = False
    protocol: Any

    def abortConnection(self) -> None:
        self.aborted = True

    def loseWriteConnection(self) -> None:
        self.write_ended = True

    def unregisterProducer(self) -> None:
        self.producer = None  # like a real one: no error when there is none


@implementer(IStreamClientEndpoint)
class Dials:
    """Every dial waits here for the test's answer."""

    def __init__(self) -> None:
        self.visitors: list[Visitor] = []
        self.waiting: list[tuple[Any, Deferred[Any]]] = []
        self.cancelled = 0

    def __call__(self, visitor: Visitor) -> IStreamClientEndpoint:
        self.visitors.append(visitor)
        return self

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        def cancel(_: Deferred[Any]) -> None:
            self.cancelled += 1

        dialing: Deferred[Any] = Deferred(cancel)
        self.waiting.append((factory, dialing))
        return dialing

    def succeed(self) -> Upstream:
        """The local service takes the oldest dial."""
        factory, dialing = self.waiting.pop(0)
        protocol, transport = factory.buildProtocol(None), Upstream()
        protocol.makeConnection(transport)
        transport.protocol = protocol
        dialing.callback(protocol)
        return transport


class Talk:
    """A session with one offer, and the relay's end of it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.link = MemoryLink()
        self.said: list[str] = []
        self.dials = Dials()
        self.offering = Offering([Offer(parse_target("8080"), name="app")], lambda offer: self.dials)
        visitors = Visitors(self.offering, self.said.append, self.clock)
        self.session = Session(
            role=Role.CLIENT,
            clock=self.clock,
            limits=SessionLimits(),
            budget=Budget(1 << 20),
            on_open=visitors.opened,
        )
        self.session.attach(self.link)
        self.frames()

    def open(self, metadata: bytes = OPEN, channel: int = 2) -> None:
        """The relay opens a channel."""
        self.link.deliver(encode(FrameType.OPEN, channel, U32.pack(65536) + metadata))

    def frames(self, *kinds: FrameType) -> list[Frame]:
        """What the client sent since the last look."""
        self.clock.advance(0)
        return [frame for frame in self.link.sent_frames() if not kinds or frame.type in kinds]

    def reset(self) -> tuple[int, str]:
        """The code and the text of the one RESET sent."""
        (frame,) = self.frames(FrameType.RESET)
        return U16.unpack_from(frame.payload)[0], frame.payload[2:].decode()


def test_a_channel_is_accepted_once_the_local_service_has_answered() -> None:
    """Not before: until then the relay does not know whether there is anybody."""
    talk = Talk()
    talk.open()
    assert talk.frames(FrameType.ACCEPT, FrameType.RESET) == []
    talk.dials.succeed()
    assert [frame.channel for frame in talk.frames(FrameType.ACCEPT)] == [2]


def test_the_dialer_is_told_who_asks() -> None:
    """The visitor's address, kind and name come from the relay."""
    talk = Talk()
    talk.open()
    assert talk.dials.visitors == [Visitor("http", "192.0.2.7", 50000, "app")]


def test_bytes_go_both_ways_and_early_ones_wait() -> None:
    """A request sent before the accept reaches the service, its answer the relay, and half-close both."""
    talk = Talk()
    talk.open()
    talk.link.deliver(encode(FrameType.DATA, 2, b"GET / ") + encode(FrameType.DATA, 2, b"HTTP/1.1", FIN))
    upstream = talk.dials.succeed()
    assert upstream.value() == b"GET / HTTP/1.1"
    assert upstream.write_ended
    upstream.protocol.dataReceived(b"200 OK")
    upstream.protocol.readConnectionLost()
    sent = talk.frames(FrameType.DATA)
    assert b"".join(frame.payload for frame in sent) == b"200 OK"
    assert sent[-1].flags == FIN


def test_a_refused_dial_resets_the_channel_with_its_reason() -> None:
    """The relay learns the code and the words; the person at the client gets a line with the target, once."""
    talk = Talk()
    for channel in (2, 4):
        talk.open(channel=channel)
        talk.dials.waiting.pop()[1].errback(UpstreamRefused("connection refused"))
        assert talk.reset() == (UpstreamRefused.code, "connection refused")
    assert talk.said == ["8080: connection refused; its visitors get an error"]


def test_a_defect_in_a_dialer_is_logged_and_resets_the_channel() -> None:
    """It is neither silent nor fatal for others."""
    talk = Talk()
    with capturedLogs() as events:
        talk.open()
        talk.dials.waiting.pop()[1].errback(ZeroDivisionError())
    assert len(talk.frames(FrameType.RESET)) == 1
    assert [event["tunnel"] for event in events if "log_failure" in event] == [1]
    assert talk.session.online


def test_a_visitor_that_leaves_ends_the_dial() -> None:
    """Nothing is said, nothing stays, no answer goes out."""
    talk = Talk()
    talk.open()
    talk.link.deliver(encode(FrameType.RESET, 2, U16.pack(0)))
    talk.clock.advance(0)
    assert talk.dials.cancelled == 1
    assert talk.frames() == []
    assert talk.said == []


@pytest.mark.parametrize(
    "metadata",
    [
        b"{}",
        b'{"tunnel":2}',
        b'{"tunnel":0}',
        b'{"tunnel":-1}',
        b'{"tunnel":true}',
        b'{"tunnel":"1"}',
        b'{"tunnel":[1]}',
        b'{"tunnel":1.0}',
    ],
)
def test_only_our_own_tunnels_are_served(metadata: bytes) -> None:
    """Whatever else the relay asks for, nothing is dialled."""
    talk = Talk()
    talk.open(metadata)
    assert talk.reset()[0] == UnknownTunnel.code
    assert talk.dials.visitors == []


def test_a_tunnel_that_was_refused_is_served_no_longer() -> None:
    """Once dropped from the offers its number means nothing."""
    talk = Talk()
    talk.offering.drop(1)
    talk.open()
    assert talk.reset()[0] == UnknownTunnel.code


@pytest.mark.parametrize("metadata", [b'{"tunnel":1,"host":7,"port":"x","kind":null,"name":["a"]}', b'{"tunnel":1}'])
def test_a_visitor_without_an_address_is_served_all_the_same(metadata: bytes) -> None:
    """What is not a text or a number counts as missing."""
    talk = Talk()
    talk.open(metadata)
    assert talk.dials.visitors == [Visitor("", "", 0, "")]


def test_long_texts_of_the_relay_are_cut() -> None:
    """A name is at most 255 characters."""
    talk = Talk()
    talk.open(b'{"tunnel":1,"name":"' + b"n" * 9000 + b'"}')
    assert talk.dials.visitors[0].name == "n" * 255


def test_the_end_of_the_session_ends_its_connections() -> None:
    """A local service sees an abort, not an orderly end."""
    talk = Talk()
    talk.open()
    upstream = talk.dials.succeed()
    talk.link.lose("gone")
    assert upstream.aborted
