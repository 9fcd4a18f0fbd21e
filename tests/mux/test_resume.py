"""Two muxes whose links break at any moment: each side delivers exactly the bytes that were sent, once and in order."""

from __future__ import annotations

import hashlib
import random
from collections import deque

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from egtunnel.errors import FlowControlError
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import Channel
from egtunnel.mux.events import ChannelOpened, DataReceived, Faulted, MessageReceived
from egtunnel.mux.frames import HEADER_SIZE, MAX_PAYLOAD
from egtunnel.mux.mux import Mux, MuxLimits, Role
from tests.mux.wire import ROOMY, a_mux, accepted, ack, data, kinds, message, opened, sent

REPLAY = 140_000
"""The bound on what is kept, small enough to be reached."""
BEYOND = 131_072 + MAX_PAYLOAD + HEADER_SIZE
"""One batch may go beyond it: it is checked between channels' turns."""


class Side:
    """One mux with an application that keeps a digest of what it got, and now and then consumes it."""

    def __init__(self, role: Role) -> None:
        self.mux = Mux(role, MuxLimits(replay=REPLAY), Budget(ROOMY))
        self.under_way: deque[bytes] = deque()
        self.channels: dict[int, Channel] = {}
        self.written: dict[int, bytearray] = {}
        self.got: dict[int, bytearray] = {}
        self.messages: list[bytes] = []
        self.held: list[tuple[Channel, int]] = []

    def send(self, limit: int = 131_072) -> None:
        """Put a message of frames on the way."""
        pieces = self.mux.frames_to_send(limit)
        if pieces:
            self.under_way.append(b"".join(pieces))
        assert self.mux.outbound.replay.held <= REPLAY + BEYOND

    def receive(self, wire: bytes) -> None:
        """Take a message."""
        for event in self.mux.receive(wire):
            assert not isinstance(event, Faulted), event
            if isinstance(event, ChannelOpened):
                self.mux.accept(event.channel)
                self.keep(event.channel)
            elif isinstance(event, DataReceived):
                self.got[event.channel.id] += event.data
                self.held.append((event.channel, len(event.data)))
            elif isinstance(event, MessageReceived):
                self.messages.append(event.payload)

    def keep(self, channel: Channel) -> None:
        """A channel to write on."""
        self.channels[channel.id] = channel
        self.written[channel.id] = bytearray()
        self.got[channel.id] = bytearray()

    def consume(self) -> None:
        """The application takes all it was given."""
        held, self.held = self.held, []
        for channel, size in held:
            self.mux.consumed(channel, size)


def reattach(one: Side, two: Side) -> None:
    """A new link: what was under way is lost, each side learns how far the other has read."""
    one.under_way.clear()
    two.under_way.clear()
    positions = one.mux.position, two.mux.position
    one.mux.resume(positions[1])
    two.mux.resume(positions[0])


STEPS = [
    "open",
    "write",
    "write",
    "write",
    "message",
    "send",
    "send",
    "arrive",
    "arrive",
    "arrive",
    "consume",
    "ping",
    "break",
]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 150))
def test_whatever_breaks_when_each_byte_arrives_once_and_in_order(seed: int, length: int) -> None:
    """A random schedule of writes, messages, arrivals and losses in both directions."""
    chance = random.Random(seed)
    sides = Side(Role.CLIENT), Side(Role.RELAY)
    told: dict[Side, list[bytes]] = {side: [] for side in sides}
    for _ in range(length):
        side, other = chance.sample(sides, 2)
        step(chance, chance.choice(STEPS), side, other, told)
    reattach(*sides)
    settle(*sides)
    for side, other in (sides, sides[::-1]):
        assert other.messages == told[side]
        assert {number: digest(content) for number, content in side.written.items()} == {
            number: digest(other.got[number]) for number in side.written
        }
        assert not any(channel.queued for channel in side.channels.values())


def digest(content: bytes | bytearray) -> str:
    """What a stream is compared by."""
    return hashlib.sha256(content).hexdigest()


def step(chance: random.Random, kind: str, side: Side, other: Side, told: dict[Side, list[bytes]]) -> None:
    """One thing that happens."""
    match kind:
        case "open" if len(side.channels) < 6:
            side.keep(side.mux.open(b"{}"))
        case "write" if side.channels:
            channel = chance.choice(list(side.channels.values()))
            content = chance.randbytes(chance.choice((1, 100, 20_000)))
            side.written[channel.id] += content
            side.mux.write(channel, content)
        case "message":
            told[side].append(b'{"n":%d}' % len(told[side]))
            side.mux.message(told[side][-1])
        case "send":
            side.send(chance.choice((0, 1000, 131_072)))
        case "arrive" if other.under_way:
            side.receive(other.under_way.popleft())
        case "consume":
            side.consume()
        case "ping":
            side.mux.ping(b"12345678")
        case "break":
            reattach(side, other)


def settle(one: Side, two: Side) -> None:
    """Let everything arrive; on an idle link the heartbeat's ACKs make room for the last bytes."""
    for turn in range(1000):
        while one.mux.has_frames or two.mux.has_frames or one.under_way or two.under_way:
            for side, other in ((one, two), (two, one)):
                side.send()
                while other.under_way:
                    side.receive(other.under_way.popleft())
                side.consume()
        if turn and not any(channel.queued for side in (one, two) for channel in side.channels.values()):
            return
        one.mux.ping(b"the last")
        two.mux.ping(b"the last")
    raise AssertionError("it never ends")


def test_what_the_peer_has_not_read_is_sent_again_before_anything_new() -> None:
    """And what was not counted, a PING, is not."""
    mux = a_mux()
    mux.message(b'{"first":1}')
    mux.ping(b"12345678")
    sent(mux)
    mux.message(b'{"second":1}')
    mux.resume(0)
    assert [frame.payload for frame in sent(mux)] == [b'{"first":1}']
    assert [frame.payload for frame in sent(mux)] == [b'{"second":1}']


def test_half_a_frame_of_the_old_link_is_forgotten() -> None:
    """The peer sends it again as a whole."""
    mux = a_mux()
    frame = message(b'{"n":1}')
    mux.receive(frame[:9])
    mux.resume(0)
    (event,) = mux.receive(frame)
    assert isinstance(event, MessageReceived)
    assert mux.position == len(frame)


@pytest.mark.parametrize("position", [1, 10_000])
def test_a_peer_cannot_have_read_half_a_frame_or_what_was_never_sent(position: int) -> None:
    """Both are its fault."""
    mux = a_mux()
    mux.message(b'{"first":1}')
    sent(mux)
    with pytest.raises(FlowControlError):
        mux.resume(position)


def test_a_peer_cannot_ask_for_what_it_has_acknowledged() -> None:
    """It is kept no longer."""
    mux = a_mux()
    mux.message(b'{"first":1}')
    (frame,) = sent(mux)
    mux.receive(ack(HEADER_SIZE + len(frame.payload)))
    assert mux.outbound.replay.held == 0
    with pytest.raises(FlowControlError):
        mux.resume(0)


def test_at_the_bound_sending_pauses_frames_of_all_types_and_nothing_is_lost() -> None:
    """A peer that acknowledges nothing stops us; with its ACK everything goes on."""
    mux = a_mux(replay=REPLAY, flight=REPLAY)
    channel = opened(mux)
    mux.receive(data(channel.id, bytes(150_000)[:60_000]) * 3)
    mux.write(channel, bytes(262_144))
    while mux.has_frames:
        sent(mux, 65_536)
    under_way = mux.flight.sent
    assert REPLAY <= under_way <= REPLAY + BEYOND
    mux.consumed(channel, 180_000)
    mux.message(b"{}")
    assert not mux.has_frames
    mux.ping(b"12345678")
    assert {name for name, _ in kinds(sent(mux))} == {"PING"}
    mux.receive(ack(under_way))
    assert {"CREDIT", "MESSAGE", "DATA"} <= {name for name, _ in kinds(sent(mux))}


def test_a_channel_that_was_reset_stays_so_after_a_resume() -> None:
    """The RESET is counted and comes again; DATA of before it is ignored by the side that is done with it."""
    mux = a_mux()
    channel = accepted(mux, 1)
    mux.write(channel, b"answer")
    sent(mux)
    mux.receive(data(1, b"x", fin=True))
    mux.finish(channel)
    sent(mux)
    assert 1 not in mux.channels
    mux.resume(0)
    assert [name for name, _ in kinds(sent(mux))] == ["ACCEPT", "DATA", "DATA"]
