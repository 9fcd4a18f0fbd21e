"""What is kept of what left: let go when acknowledged, sent again from any frame on, counted in the budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.errors import FlowControlError
from egtunnel.mux.budget import Budget
from egtunnel.mux.replay import Replay


def kept(*batches: list[bytes]) -> Replay:
    """A replay that holds these batches of pieces, each piece a frame."""
    replay, position = Replay(Budget(1 << 20)), 0
    for batch in batches:
        size = sum(map(len, batch))
        position += size
        replay.keep(list(batch), size, position)
    return replay


def again(replay: Replay, limit: int = 1 << 20) -> bytes:
    """All that is to be sent again."""
    parts = []
    while replay:
        parts += replay.take(limit)
    return b"".join(parts)


def test_nothing_is_sent_again_unless_asked() -> None:
    """Frames are kept in silence."""
    assert not kept([b"one", b"two"])


def test_from_the_start_everything_comes_again_in_its_order() -> None:
    """Batch by batch."""
    replay = kept([b"one", b"two"], [b"three"])
    replay.rewind(0)
    assert again(replay) == b"onetwothree"
    assert not replay


def test_from_within_a_batch_only_the_frames_after_it_come() -> None:
    """The peer says how far it has read; that may be anywhere between two frames."""
    replay = kept([b"one", b"two"], [b"three"])
    replay.rewind(3)
    assert again(replay) == b"twothree"
    replay.rewind(6)
    assert again(replay) == b"three"
    replay.rewind(11)
    assert again(replay) == b""


def test_a_position_within_a_frame_is_refused() -> None:
    """No honest peer has read half a frame."""
    with pytest.raises(FlowControlError):
        kept([b"one", b"two"]).rewind(4)


def test_what_is_acknowledged_is_let_go_and_the_budget_with_it() -> None:
    """By whole batches: what is left of one is small."""
    budget = Budget(100)
    replay = Replay(budget)
    replay.keep([b"one", b"two"], 6, 6)
    replay.keep([b"three"], 5, 11)
    assert (replay.held, budget.held) == (11, 11)
    replay.acknowledge(5)
    assert budget.held == 11
    replay.acknowledge(6)
    assert (replay.held, budget.held) == (5, 5)
    replay.clear()
    assert (replay.held, budget.held, bool(replay)) == (0, 0, False)


def test_a_second_loss_in_the_midst_of_sending_again_starts_over() -> None:
    """From where the peer then is."""
    replay = kept([b"one"], [b"two"], [b"three"])
    replay.rewind(0)
    assert replay.take(1) == [b"one"]
    replay.rewind(3)
    assert again(replay) == b"twothree"


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=5), max_size=8),
    st.data(),
    st.integers(1, 20),
)
def test_every_frame_after_any_boundary_comes_again_once(
    batches: list[list[bytes]], data: st.DataObject, limit: int
) -> None:
    """Whatever the batches, and however little is taken at once."""
    frames = [frame for batch in batches for frame in batch]
    number = data.draw(st.integers(0, len(frames)))
    position = sum(map(len, frames[:number]))
    replay = kept(*batches)
    replay.acknowledge(data.draw(st.integers(0, position)))
    replay.rewind(position)
    assert again(replay, limit) == b"".join(frames[number:])
