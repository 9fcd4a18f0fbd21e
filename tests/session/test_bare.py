"""Bare links in memory: frames one by one until the peer is known, then whatever comes; pauses, ends and limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from zope.interface.verify import verifyObject

from egtunnel.interfaces import ILink
from egtunnel.mux.budget import Budget
from egtunnel.mux.frames import FrameType, encode
from egtunnel.session.bare import BareLink
from egtunnel.session.session import Role, Session, SessionLimits
from egtunnel.session.websocket import LinkLimits
from tests.pipes import Recorder

LIMITS = LinkLimits(stranger=1000, closing=2.0)
HELLO = encode(FrameType.MESSAGE, 0, b'{"type": "hello"}')
PING = encode(FrameType.PING, 0, b"12345678")


class Listener:
    """A link's receiver that remembers, and knows its peer after so many messages."""

    def __init__(self, link: BareLink, knows_after: int) -> None:
        self.link = link
        self.knows_after = knows_after
        self.heard: list[bytes] = []
        self.told: list[str] = []

    def link_message(self, data: bytes) -> None:
        self.heard.append(data)
        if len(self.heard) == self.knows_after:
            self.link.admitted()

    def link_paused(self) -> None:
        self.told.append("paused")

    def link_resumed(self) -> None:
        self.told.append("resumed")

    def link_lost(self, reason: str) -> None:
        self.told.append(reason)


class Wire:
    """What a link writes to, as TLS in its plainest state."""

    def __init__(self) -> None:
        self.written = b""
        self.calls: list[str] = []
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        self.written += data

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def loseConnection(self) -> None:
        assert self.producer is None, "it would wait for the producer"
        self.calls.append("lose")

    def abortConnection(self) -> None:
        self.calls.append("abort")


class One:
    """One end of a link on a wire."""

    def __init__(self, knows_after: int = 1) -> None:
        self.clock = Clock()
        self.wire = Wire()
        links: list[Any] = []
        self.link = BareLink(links.append, LIMITS, self.clock, "tcp4:192.0.2.7:4711")
        self.listener = Listener(self.link, knows_after)
        receiver: Any = self.listener
        self.link.receiver = receiver
        self.link.makeConnection(self.wire)
        assert links == [self.link]

    def comes(self, *pieces: bytes) -> list[bytes]:
        """Bytes come; all that was handed on."""
        for piece in pieces:
            self.link.dataReceived(piece)
        return self.listener.heard


def test_it_is_a_link() -> None:
    """Encrypted, and a stream."""
    link = One().link
    verifyObject(ILink, link)
    assert link.secure
    assert link.stream
    assert link.peer == "tcp4:192.0.2.7:4711"


def test_the_first_frame_is_handed_on_alone_and_what_follows_as_it_came() -> None:
    """However much came at once; the rest may end within a frame."""
    assert One().comes(HELLO + PING + PING[:3], PING[3:]) == [HELLO, PING + PING[:3], PING[3:]]
    assert One(2).comes(HELLO + HELLO + PING) == [HELLO, HELLO, PING]
    assert One().comes(HELLO) == [HELLO]


@given(st.lists(st.integers(1, 60), max_size=30))
def test_any_cut_gives_the_same_first_frame(cuts: list[int]) -> None:
    """Byte for byte or at once."""
    stream, pieces = HELLO + PING * 3, []
    for cut in [*cuts, len(stream)]:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    heard = One().comes(*pieces)
    assert heard[0] == HELLO
    assert b"".join(heard) == HELLO + PING * 3


@pytest.mark.parametrize(
    "data",
    [
        encode(FrameType.MESSAGE, 0, bytes(2000))[:8],
        encode(FrameType.DATA, 1, b"abc")[:8],
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ],
    ids=["too long", "another type", "HTTP", "TLS in TLS"],
)
def test_what_no_introduction_can_be_is_not_waited_for(data: bytes) -> None:
    """It is handed on unfinished, which whoever waits for a hello refuses."""
    assert One().comes(data) == [data]


def test_a_stranger_is_held_within_its_limit() -> None:
    """Less than a header, or a frame that is allowed and not complete, is waited for; the receiver has the clock."""
    for piece in (HELLO[:7], HELLO[:-1]):
        assert One().comes(piece) == []
    longest = encode(FrameType.MESSAGE, 0, bytes(LIMITS.stranger - 8))
    assert One().comes(longest[:-1], longest[-1:]) == [longest]


def test_pieces_leave_as_one_write() -> None:
    """TLS makes full records of what it gets at once."""
    one = One()
    one.link.send([b"ab", memoryview(b"cd")])
    assert one.wire.written == b"abcd"


def test_pauses_go_both_ways() -> None:
    """The transport's pause is the link's, and the link's is the transport's."""
    one = One()
    one.wire.producer.pauseProducing()
    one.wire.producer.resumeProducing()
    assert one.listener.told == ["paused", "resumed"]
    one.link.pause()
    one.link.resume()
    assert one.wire.calls == ["pause", "resume"]


def test_a_closed_link_waits_for_the_peers_last_word_and_not_for_ever() -> None:
    """What comes after that is nobody's; nothing more is sent."""
    one = One()
    one.link.close(17, "superseded")
    one.link.close(17, "superseded")
    one.link.send([b"late"])
    assert one.comes(HELLO) == []
    assert one.wire.calls == ["resume", "lose"]
    one.clock.advance(LIMITS.closing)
    assert one.wire.calls[-1] == "abort"
    assert one.wire.written == b""


def test_the_end_is_told_once_and_leaves_no_timer() -> None:
    """A receiver that is put there to wait for the end of a closed link hears of it, too."""
    one = One()
    one.link.close(18, "shutting down")
    farewell: Any = one.listener
    one.link.receiver = farewell
    one.link.connectionLost(Failure(ConnectionDone()))
    one.link.connectionLost(Failure(ConnectionLost()))
    assert len(one.listener.told) == 1
    assert one.clock.getDelayedCalls() == []


def test_abort_ends_at_once() -> None:
    """And tells nobody: whoever aborts knows."""
    one = One()
    one.link.abort()
    one.link.connectionLost(Failure(ConnectionLost()))
    assert one.wire.calls == ["abort"]
    assert one.listener.told == []


# -- sessions over it


def joined(clock: Clock) -> tuple[Session, Session, Recorder, Any]:
    """A relay's and a client's session over a bare link, and what the client's channels received."""
    recorder = Recorder()
    ends = [BareLink(lambda _: None, LIMITS, clock) for _ in range(2)]
    pump = connect(ends[0], FakeTransport(ends[0], True), ends[1], FakeTransport(ends[1], False), clock=clock)

    def opened(channel: Any, metadata: dict[str, Any]) -> None:
        channel.connect_protocol(recorder)
        channel.accept()

    sessions = [
        Session(role=role, clock=clock, limits=SessionLimits(), budget=Budget(1 << 26), id="s", secret="secret")
        for role in (Role.RELAY, Role.CLIENT)
    ]
    sessions[1].on_open = opened
    for session, link in zip(sessions, ends, strict=True):
        session.attach(link)
    return sessions[0], sessions[1], recorder, pump


@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.integers(0, 3000))
def test_a_session_finds_its_frames_whatever_the_cuts(cuts: list[int], size: int) -> None:
    """Reads end where they like: each byte arrives, in order, and no session takes that for a fault."""
    clock = Clock()
    relay, client, recorder, pump = joined(clock)
    channel = relay.open({"tunnel": 1})
    sent = bytes(number % 251 for number in range(size))
    channel.connect_protocol(Recorder())
    channel.write(sent)
    link: Any = client._link
    whole = link.dataReceived

    def cut(data: bytes) -> None:
        turn = 0
        while data:
            piece, data = data[: cuts[turn % len(cuts)]], data[cuts[turn % len(cuts)] :]
            whole(piece)
            turn += 1

    link.dataReceived = cut
    for _ in range(20):
        clock.advance(0)
        pump.flush()
    assert recorder.received == sent
    assert relay.closed is client.closed is None


def test_half_a_frame_is_forgotten_with_its_link() -> None:
    """The next link of the session starts with a whole frame."""
    clock = Clock()
    _, client, _, _ = joined(clock)
    link: Any = client._link
    position = client.position
    link.dataReceived(PING[:5])
    link.connectionLost(Failure(ConnectionLost()))
    assert client.closed is None
    assert client.mux._decoder.pending == 0
    assert client.position == position
