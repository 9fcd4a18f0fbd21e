"""What leaves, and in which order: everything that is not DATA first, then DATA by turns, in whole frames."""

from __future__ import annotations

from egtunnel.errors import ChannelClosed, OverLimit, UpstreamRefused
from egtunnel.mux.frames import FIN, HEADER_SIZE, MAX_REASON, Frame, FrameType
from egtunnel.mux.mux import Role
from egtunnel.mux.outbound import clip
from egtunnel.mux.windows import INITIAL_WINDOW, MAX_WINDOW
from tests.mux.wire import a_mux, accepted, data, kinds, offered, opened, sent, waiting


def test_an_idle_mux_has_nothing_to_send() -> None:
    """And says so without being asked twice."""
    mux = a_mux()
    assert not mux.has_frames
    assert mux.frames_to_send(1000) == []


def test_an_opening_leaves_before_the_data_of_its_channel() -> None:
    """OPEN carries our window and the metadata; the first bytes follow in the same batch."""
    mux = a_mux(Role.CLIENT)
    channel = mux.open(b'{"tunnel":1}')
    mux.write(channel, b"GET /")
    assert sent(mux) == [
        Frame(FrameType.OPEN, 0, 1, INITIAL_WINDOW.to_bytes(4, "big") + b'{"tunnel":1}'),
        Frame(FrameType.DATA, 0, 1, b"GET /"),
    ]


def test_control_messages_keep_their_order_among_the_other_counted_frames() -> None:
    """A claim that was said before a channel was opened arrives before it."""
    mux = a_mux()
    mux.message(b'{"type":"notice","text":"1"}')
    number = mux.open(b"{}").id
    mux.message(b'{"type":"notice","text":"2"}')
    assert kinds(sent(mux)) == [("MESSAGE", 0), ("OPEN", number), ("MESSAGE", 0)]


def test_with_no_room_for_data_everything_else_leaves() -> None:
    """A limit of 0 means: no DATA."""
    mux = a_mux()
    channel = opened(mux)
    mux.write(channel, b"later")
    mux.message(b"{}")
    assert kinds(sent(mux, 0)) == [("MESSAGE", 0)]
    assert kinds(sent(mux)) == [("DATA", channel.id)]


def test_a_batch_is_at_most_one_frame_longer_than_asked() -> None:
    """Whole frames only; the last one may pass the limit."""
    mux = a_mux(quantum=1000)
    for _ in range(3):
        mux.write(opened(mux), bytes(50_000))
    frames = sent(mux, 10_000)
    size = sum(HEADER_SIZE + len(frame.payload) for frame in frames)
    assert 10_000 <= size < 10_000 + 1000 + HEADER_SIZE


def test_several_writes_become_one_frame() -> None:
    """What waits is one stream of bytes, not a list of writes."""
    mux = a_mux()
    channel = opened(mux)
    for letter in (b"a", b"b", b"c"):
        mux.write(channel, letter)
    assert [frame.payload for frame in sent(mux)] == [b"abc"]


def test_the_last_data_carries_the_fin() -> None:
    """No empty frame is sent for it."""
    mux = a_mux()
    channel = opened(mux)
    mux.write(channel, b"bye")
    mux.finish(channel)
    assert sent(mux) == [Frame(FrameType.DATA, FIN, channel.id, b"bye")]


def test_a_fin_with_nothing_before_it_is_an_empty_frame() -> None:
    """It needs no credit."""
    mux = a_mux()
    channel = opened(mux, 16_384)
    mux.write(channel, bytes(16_384))
    sent(mux)
    assert channel.send.credit == 0
    mux.finish(channel)
    assert sent(mux) == [Frame(FrameType.DATA, FIN, channel.id, b"")]


def test_a_fin_waits_for_the_data_before_it() -> None:
    """Without credit for the rest, the rest and its FIN stay."""
    mux = a_mux()
    channel = opened(mux, 16_384)
    mux.write(channel, bytes(16_385))
    mux.finish(channel)
    assert [frame.flags for frame in sent(mux)] == [0]
    assert not channel.fin_sent


def test_finishing_twice_is_finishing_once() -> None:
    """One FIN leaves."""
    mux = a_mux()
    channel = opened(mux)
    mux.finish(channel)
    mux.finish(channel)
    assert len(sent(mux)) == 1
    assert sent(mux) == []


def test_several_credits_become_one() -> None:
    """Between two batches a channel gives back once."""
    mux = a_mux()
    channel = accepted(mux)
    for _ in range(4):
        mux.receive(data(1, bytes(60_000)))
    mux.consumed(channel, 120_000)
    mux.consumed(channel, 20_000)
    mux.consumed(channel, 100_000)
    frames = sent(mux)
    assert kinds(frames) == [("ACK", 0), ("CREDIT", 1)]
    assert int.from_bytes(frames[1].payload, "big") == channel.receive.available - (INITIAL_WINDOW - 240_000)


def test_no_credit_leaves_for_a_channel_that_is_over() -> None:
    """Neither after the peer's FIN nor after a reset."""
    mux = a_mux()
    channel = accepted(mux)
    for _ in range(3):
        mux.receive(data(1, bytes(60_000)))
    mux.consumed(channel, 180_000)
    mux.receive(data(1, fin=True))
    assert "CREDIT" not in [name for name, _ in kinds(sent(mux))]
    other = accepted(mux, 3)
    for _ in range(3):
        mux.receive(data(3, bytes(60_000)))
    mux.consumed(other, 180_000)
    mux.reset(other, ChannelClosed())
    assert "CREDIT" not in [name for name, _ in kinds(sent(mux))]


def test_a_reset_drops_what_waits_and_says_why() -> None:
    """Code and text of the error."""
    mux = a_mux()
    channel = opened(mux)
    mux.write(channel, b"never sent")
    mux.reset(channel, UpstreamRefused("nothing listens on port 8080"))
    assert sent(mux) == [Frame(FrameType.RESET, 0, channel.id, b"\x00\x09nothing listens on port 8080")]
    assert waiting(mux) == 0


def test_a_reason_is_cut_between_characters() -> None:
    """At most 200 bytes of UTF-8, and still UTF-8."""
    assert clip("é" * 150) == ("é" * 100).encode()
    assert len(clip("x" + "é" * 150)) == MAX_REASON - 1
    assert clip("\udcff") == b"?"
    mux = a_mux()
    mux.reset(opened(mux), OverLimit("€" * 500))
    mux.go_away(18, "€" * 500)
    for frame in sent(mux):
        frame.payload[6 if frame.type == FrameType.GOAWAY else 2 :].decode()


def test_served_lists_who_sent_in_the_last_batch() -> None:
    """So that producers can go on; control frames serve nobody."""
    mux = a_mux(quantum=100)
    one, other = opened(mux), opened(mux)
    mux.write(one, bytes(150))
    mux.write(other, bytes(50))
    sent(mux)
    assert mux.outbound.served == [one, other, one]
    mux.message(b"{}")
    sent(mux)
    assert mux.outbound.served == []


def test_a_channel_sends_no_more_than_its_credit() -> None:
    """The rest waits for CREDIT, however much fits the batch."""
    mux = a_mux()
    channel = opened(mux, 20_000)
    mux.write(channel, bytes(50_000))
    assert sum(len(frame.payload) for frame in sent(mux)) == 20_000
    assert channel.queued == 30_000
    assert not mux.has_frames


def test_a_channel_in_the_round_that_was_reset_sends_nothing() -> None:
    """Its turn passes to the next."""
    mux = a_mux()
    one, other = opened(mux, MAX_WINDOW), opened(mux)
    mux.write(one, bytes(10))
    mux.write(other, bytes(10))
    mux.reset(one, ChannelClosed())
    assert kinds(sent(mux)) == [("RESET", one.id), ("DATA", other.id)]


def test_an_offered_channel_is_accepted_by_its_first_write() -> None:
    """ACCEPT leaves before the bytes."""
    mux = a_mux()
    channel = offered(mux, 1)
    mux.write(channel, b"SSH-2.0")
    assert kinds(sent(mux)) == [("ACCEPT", 1), ("DATA", 1)]
