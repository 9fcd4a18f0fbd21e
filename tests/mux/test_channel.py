"""One channel: its table of states, every pair that is not in it, and what waits to be sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.errors import IllegalTransition
from egtunnel.mux.channel import PEER, Channel, ChannelState, next_state
from egtunnel.mux.frames import FrameType
from egtunnel.mux.mux import Mux, Role
from tests.mux.wire import SAMPLES, a_mux, accepting, data, fault_in, kinds, offered, opened, resetting, sent

CHANNEL_FRAMES = list(SAMPLES)
LIVE = [ChannelState.OPENING, ChannelState.OFFERED, ChannelState.OPEN]
LEGAL = sorted(PEER, key=str)
ILLEGAL = [(state, kind) for state in LIVE for kind in CHANNEL_FRAMES if (state, kind) not in PEER]


def brought_to(state: ChannelState) -> tuple[Mux, Channel]:
    """A mux with one channel in this state."""
    mux = a_mux(Role.RELAY)
    if state is ChannelState.OFFERED:
        return mux, offered(mux, 1)
    if state is ChannelState.OPENING:
        channel = mux.open(b"{}")
        sent(mux)
        return mux, channel
    return mux, opened(mux)


def test_the_table_names_only_frames_of_channels() -> None:
    """Frames of the session are none of a channel's business."""
    assert {kind for _, kind in PEER} <= set(CHANNEL_FRAMES)
    assert {state for state, _ in PEER} == set(LIVE), "nothing happens to a channel that is over"


@pytest.mark.parametrize(("state", "kind"), ILLEGAL, ids=str)
def test_every_pair_that_is_not_in_the_table_ends_the_link_by_name(state: ChannelState, kind: FrameType) -> None:
    """illegal-transition; nothing is raised, and nothing more is read."""
    mux, channel = brought_to(state)
    error = fault_in(mux.receive(SAMPLES[kind](channel.id)))
    assert isinstance(error, IllegalTransition)
    assert mux.receive(SAMPLES[kind](channel.id)) == []


@pytest.mark.parametrize(("state", "kind"), LEGAL, ids=str)
def test_every_pair_of_the_table_is_obeyed(state: ChannelState, kind: FrameType) -> None:
    """The channel is then where the table says."""
    mux, channel = brought_to(state)
    events = mux.receive(SAMPLES[kind](channel.id))
    assert len(events) == (0 if kind is FrameType.CREDIT else 1)
    assert channel.state is PEER[state, kind]


@pytest.mark.parametrize("kind", CHANNEL_FRAMES)
def test_a_channel_that_is_over_ignores_everything_but_a_second_opening(kind: FrameType) -> None:
    """Frames in flight may cross a RESET."""
    mux, channel = brought_to(ChannelState.OFFERED)
    mux.receive(resetting(channel.id))
    events = mux.receive(SAMPLES[kind](channel.id))
    if kind is FrameType.OPEN:
        assert isinstance(fault_in(events), IllegalTransition)
    else:
        assert events == []
    assert sent(mux) == []


@pytest.mark.parametrize("kind", CHANNEL_FRAMES)
@pytest.mark.parametrize("number", [5, 6], ids=["theirs", "ours"])
def test_a_channel_that_was_never_opened_knows_only_opening(kind: FrameType, number: int) -> None:
    """On either side's ids, and OPEN only on the peer's own."""
    events = a_mux(Role.RELAY).receive(SAMPLES[kind](number))
    if kind is FrameType.OPEN and number == 5:
        assert len(events) == 1
    else:
        assert isinstance(fault_in(events), IllegalTransition)


def test_nothing_may_follow_the_last_data_of_a_direction() -> None:
    """DATA after FIN, even without bytes."""
    mux = a_mux()
    offered(mux, 1)
    assert len(mux.receive(data(1, b"bye", fin=True))) == 1
    assert isinstance(fault_in(mux.receive(data(1))), IllegalTransition)


def test_what_was_skipped_by_an_opening_counts_as_over() -> None:
    """Ids only go up; a gap can never be filled."""
    mux = a_mux()
    offered(mux, 5)
    assert mux.receive(data(3, b"late")) == []
    assert isinstance(fault_in(mux.receive(SAMPLES[FrameType.OPEN](3))), IllegalTransition)


def test_next_state_names_the_frame_and_the_state_of_a_broken_rule() -> None:
    """The text is what a person finds in the log."""
    with pytest.raises(IllegalTransition, match="DATA on a channel that is opened by us, not accepted yet"):
        next_state(ChannelState.OPENING, FrameType.DATA)


def test_both_directions_finished_end_a_channel_in_either_order() -> None:
    """It then leaves the table, and its id is not used again."""
    for ours_first in (True, False):
        mux = a_mux()
        channel = offered(mux, 1)
        if ours_first:
            mux.finish(channel)
            sent(mux)
        mux.receive(data(1, fin=True))
        if not ours_first:
            assert channel.state is not ChannelState.CLOSED
            mux.finish(channel)
            assert kinds(sent(mux)) == [("ACCEPT", 1), ("DATA", 1)]
        assert channel.state is ChannelState.CLOSED
        assert mux.channels == {}


def test_credit_may_come_after_our_last_data() -> None:
    """The peer consumes what is still on its way."""
    mux = a_mux()
    channel = offered(mux, 1)
    mux.finish(channel)
    sent(mux)
    assert mux.receive(SAMPLES[FrameType.CREDIT](1)) == []
    assert sent(mux) == []


def test_a_second_accept_is_an_error() -> None:
    """A channel is accepted once."""
    mux = a_mux()
    channel = opened(mux)
    assert isinstance(fault_in(mux.receive(accepting(channel.id))), IllegalTransition)


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1), st.lists(st.integers(1, 25)))
def test_what_is_taken_from_the_queue_is_what_was_put_there(pieces: list[bytes], sizes: list[int]) -> None:
    """Cut anywhere, joined again, every byte once and in order."""
    channel = Channel(1, ChannelState.OPEN, 1000, 1000)
    channel.queue.extend(pieces)
    channel.queued = sum(map(len, pieces))
    taken = bytearray()
    for size in [*sizes, 10**6]:
        part = b"".join(channel.take(min(size, channel.queued)))
        assert len(part) <= size
        taken += part
    assert bytes(taken) == b"".join(pieces)
    assert channel.queued == channel.offset == len(channel.queue) == 0
