"""The mux as a whole: what bytes of the peer mean, and what may be asked of it."""

from __future__ import annotations

import pytest

from egtunnel.errors import (
    ChannelClosed,
    FlowControlError,
    FrameError,
    IllegalTransition,
    LocalProtocolError,
    TooManyChannels,
    UnknownFrameType,
)
from egtunnel.mux.channel import ChannelState
from egtunnel.mux.events import (
    ChannelAccepted,
    ChannelOpened,
    ChannelWasReset,
    DataReceived,
    GoneAway,
    MessageReceived,
    PongReceived,
)
from egtunnel.mux.frames import EARLY_WINDOW, Frame, FrameType, header
from egtunnel.mux.mux import Role
from egtunnel.mux.windows import INITIAL_WINDOW, MAX_WINDOW
from tests.mux.wire import (
    a_mux,
    accepted,
    accepting,
    credit,
    data,
    fault_in,
    goaway,
    kinds,
    message,
    offered,
    opening,
    ping,
    pong,
    resetting,
    sent,
    waiting,
)


def test_the_client_opens_odd_ids_and_the_relay_even_ones() -> None:
    """Upwards, without gaps."""
    client, relay = a_mux(Role.CLIENT), a_mux(Role.RELAY)
    assert [client.open(b"{}").id for _ in range(3)] == [1, 3, 5]
    assert [relay.open(b"{}").id for _ in range(3)] == [2, 4, 6]


@pytest.mark.parametrize(("role", "number"), [(Role.CLIENT, 1), (Role.RELAY, 2)])
def test_a_peer_that_opens_an_id_of_ours_breaks_the_protocol(role: Role, number: int) -> None:
    """illegal-transition."""
    assert isinstance(fault_in(a_mux(role).receive(opening(number))), IllegalTransition)


def test_a_peers_ids_only_go_up() -> None:
    """An id is used once."""
    mux = a_mux()
    offered(mux, 5)
    assert isinstance(fault_in(mux.receive(opening(5))), IllegalTransition)


def test_each_frame_of_the_peer_is_one_event_in_order() -> None:
    """Except CREDIT, PING and ACK, which are the mux's own business."""
    mux = a_mux()
    events = mux.receive(
        message(b'{"type":"x"}')
        + opening(1, 1000, b'{"tunnel":1}')
        + data(1, b"abc")
        + ping()
        + data(1, b"", fin=True)
        + credit(1, 5)
        + pong(b"87654321")
        + resetting(1, 10, b"broke")
        + goaway(0, 18, b"soon")
    )
    channel = events[1].channel  # type: ignore[union-attr]
    assert events == [
        MessageReceived(b'{"type":"x"}'),
        ChannelOpened(channel, b'{"tunnel":1}'),
        DataReceived(channel, b"abc", False),
        DataReceived(channel, b"", True),
        PongReceived(b"87654321"),
        ChannelWasReset(channel, 10, "broke"),
        GoneAway(0, 18, "soon"),
    ]


def test_a_ping_is_answered_with_its_own_bytes() -> None:
    """Eight, opaque."""
    mux = a_mux()
    assert mux.receive(ping(b"\x00\xff345678")) == []
    assert sent(mux) == [Frame(FrameType.PONG, 0, 0, b"\x00\xff345678")]


def test_a_ping_of_ours_leaves_with_its_bytes() -> None:
    """And its answer is an event."""
    mux = a_mux()
    mux.ping(b"12345678")
    assert sent(mux) == [Frame(FrameType.PING, 0, 0, b"12345678")]
    assert mux.receive(pong(b"12345678")) == [PongReceived(b"12345678")]


def test_texts_of_the_peer_need_not_be_utf8() -> None:
    """They are for people; what cannot be read is replaced."""
    mux = a_mux()
    offered(mux, 1)
    (event,) = mux.receive(resetting(1, 10, b"\xff"))
    assert event == ChannelWasReset(event.channel, 10, "\ufffd")  # type: ignore[union-attr]


def test_an_opener_may_send_the_early_window_before_the_accept() -> None:
    """16,384 bytes and not one more, on both sides."""
    mux = a_mux()
    channel = mux.open(b"{}")
    mux.write(channel, bytes(100_000))
    assert sum(len(frame.payload) for frame in sent(mux) if frame.type == FrameType.DATA) == EARLY_WINDOW
    other = a_mux()
    offered(other, 1)
    assert len(other.receive(data(1, bytes(EARLY_WINDOW)))) == 1
    assert isinstance(fault_in(other.receive(data(1, b"x"))), FlowControlError)


def test_early_bytes_count_against_the_window_of_the_accept() -> None:
    """The window is what may be sent in all before credit is given."""
    mux = a_mux()
    channel = mux.open(b"{}")
    mux.write(channel, bytes(500_000))
    sent(mux)
    assert mux.receive(accepting(channel.id, 100_000)) == [ChannelAccepted(channel)]
    assert sum(len(frame.payload) for frame in sent(mux) if frame.type == FrameType.DATA) == 100_000 - EARLY_WINDOW


def test_an_acceptor_may_send_what_the_opening_gave() -> None:
    """The window of OPEN counts from the start."""
    mux = a_mux()
    channel = offered(mux, 1, window=50)
    mux.write(channel, bytes(100))
    assert [len(frame.payload) for frame in sent(mux) if frame.type == FrameType.DATA] == [50]
    mux.receive(credit(1, 7))
    assert [len(frame.payload) for frame in sent(mux)] == [7]


def test_no_credit_leaves_before_the_accept() -> None:
    """CREDIT for a channel that is not accepted is illegal; what is due leaves right after the ACCEPT."""
    mux = a_mux()
    channel = offered(mux, 1)
    mux.receive(data(1, bytes(EARLY_WINDOW)))
    mux.consumed(channel, EARLY_WINDOW)
    assert kinds(sent(mux)) == [("ACK", 0)]
    assert isinstance(fault_in(mux.receive(data(1, b"x"))), FlowControlError)


def test_credit_for_early_bytes_is_not_lost() -> None:
    """Also when the window of the ACCEPT is no larger than the early one, and the opener waits for credit."""
    mux = a_mux()
    channel = offered(mux, 1)
    mux.receive(data(1, bytes(EARLY_WINDOW)))
    mux.consumed(channel, EARLY_WINDOW)
    mux.budget.hold(mux.budget.limit // 2 + 1)
    mux.accept(channel)
    frames = sent(mux)
    assert kinds(frames) == [("ACK", 0), ("ACCEPT", 1), ("CREDIT", 1)]
    assert [int.from_bytes(frame.payload, "big") for frame in frames[1:]] == [EARLY_WINDOW, EARLY_WINDOW]


def test_more_data_than_credit_ends_the_link_by_name() -> None:
    """flow-control-error."""
    mux = a_mux()
    accepted(mux, 1)
    wire = b"".join(data(1, bytes(60_000)) for _ in range(INITIAL_WINDOW // 60_000 + 1))
    assert isinstance(fault_in(mux.receive(wire)), FlowControlError)


@pytest.mark.parametrize("increment", [0, MAX_WINDOW, 0xFFFFFFFF])
def test_an_impossible_credit_ends_the_link_by_name(increment: int) -> None:
    """flow-control-error."""
    mux = a_mux()
    accepted(mux, 1)
    assert isinstance(fault_in(mux.receive(credit(1, increment))), FlowControlError)


@pytest.mark.parametrize("window", [0, EARLY_WINDOW - 1, MAX_WINDOW + 1, 0xFFFFFFFF])
def test_an_impossible_window_of_an_accept_ends_the_link_by_name(window: int) -> None:
    """frame-error."""
    mux = a_mux()
    channel = mux.open(b"{}")
    assert isinstance(fault_in(mux.receive(accepting(channel.id, window))), FrameError)


@pytest.mark.parametrize("window", [MAX_WINDOW + 1, 0xFFFFFFFF])
def test_an_impossible_window_of_an_opening_ends_the_link_by_name(window: int) -> None:
    """frame-error."""
    assert isinstance(fault_in(a_mux().receive(opening(1, window))), FrameError)


@pytest.mark.parametrize(
    ("wire", "error"), [(header(99, 0, 0, 0), UnknownFrameType), (header(FrameType.PING, 1, 8, 0), FrameError)]
)
def test_a_fault_of_the_frames_is_the_last_event(wire: bytes, error: type[Exception]) -> None:
    """What came before it still counts; nothing after it does."""
    mux = a_mux()
    events = mux.receive(message() + wire + message())
    assert len(events) == 2
    assert isinstance(fault_in(events), error)
    assert mux.receive(message()) == []


def test_a_message_of_the_link_may_not_end_within_a_frame() -> None:
    """``mid_frame`` tells the driver."""
    mux = a_mux()
    mux.receive(message()[:-1])
    assert mux.mid_frame
    mux.receive(message()[-1:])
    assert not mux.mid_frame


def test_a_reset_before_the_accept_is_a_refusal() -> None:
    """The opener learns the reason; bytes it sent early are forgotten."""
    mux = a_mux()
    channel = mux.open(b"{}")
    mux.write(channel, bytes(100_000))
    sent(mux)
    assert mux.receive(resetting(channel.id, 9, b"no")) == [ChannelWasReset(channel, 9, "no")]
    assert channel.state is ChannelState.CLOSED
    assert waiting(mux) == 0
    assert sent(mux) == []


def test_going_away_tells_the_last_channel_and_refuses_new_ones() -> None:
    """Open channels go on, and our own may still be opened; the peer's are refused."""
    mux = a_mux()
    channel = accepted(mux, 7)
    mux.go_away(18, "restart")
    assert sent(mux) == [Frame(FrameType.GOAWAY, 0, 0, b"\x00\x00\x00\x07\x00\x12restart")]
    assert mux.receive(opening(9)) == []
    assert kinds(sent(mux)) == [("RESET", 9)]
    mux.open(b"{}")
    mux.write(channel, b"still here")
    assert kinds(sent(mux)) == [("OPEN", 2), ("DATA", 7)]


def test_a_peer_that_goes_away_gets_no_new_channels() -> None:
    """It would refuse them."""
    mux = a_mux()
    mux.receive(goaway())
    with pytest.raises(TooManyChannels):
        mux.open(b"{}")


def test_what_is_asked_of_a_channel_that_is_over_is_nothing() -> None:
    """Writes and ends cross a reset like frames do."""
    mux = a_mux()
    channel = accepted(mux)
    mux.receive(resetting(1))
    mux.write(channel, b"x")
    mux.finish(channel)
    mux.accept(channel)
    mux.reset(channel, ChannelClosed())
    assert sent(mux) == []
    assert waiting(mux) == 0


def test_writing_after_the_end_is_our_own_fault() -> None:
    """A defect here is named as one."""
    mux = a_mux()
    channel = accepted(mux)
    mux.finish(channel)
    with pytest.raises(LocalProtocolError):
        mux.write(channel, b"x")


@pytest.mark.parametrize("size", [0, 1, 65_532])
def test_metadata_that_does_not_fit_a_frame_is_our_own_fault_and_changes_nothing(size: int) -> None:
    """Nothing is half open afterwards."""
    mux = a_mux(Role.CLIENT)
    with pytest.raises(LocalProtocolError):
        mux.open(bytes(size))
    assert mux.channels == {}
    assert mux.open(b"{}").id == 1


@pytest.mark.parametrize("size", [0, 1, 65_536])
def test_a_control_message_that_does_not_fit_a_frame_is_our_own_fault(size: int) -> None:
    """Nothing is sent."""
    mux = a_mux()
    with pytest.raises(LocalProtocolError):
        mux.message(bytes(size))
    assert sent(mux) == []


def test_a_ping_that_is_not_eight_bytes_is_our_own_fault() -> None:
    """Nothing is sent."""
    mux = a_mux()
    with pytest.raises(LocalProtocolError):
        mux.ping(b"1234567")
    assert sent(mux) == []


def test_consuming_more_than_came_is_our_own_fault_and_changes_no_budget() -> None:
    """A defect here is named as one."""
    mux = a_mux()
    channel = accepted(mux)
    mux.receive(data(1, b"abc"))
    with pytest.raises(LocalProtocolError):
        mux.consumed(channel, 4)
    assert waiting(mux) == 3


def test_the_ids_of_a_session_end_some_day() -> None:
    """After two thousand million channels a session takes no more, and says so."""
    mux = a_mux(Role.CLIENT)
    mux.next_id = 0xFFFFFFFF
    assert mux.open(b"{}").id == 0xFFFFFFFF
    with pytest.raises(TooManyChannels, match="takes no new channels"):
        mux.open(b"{}")
