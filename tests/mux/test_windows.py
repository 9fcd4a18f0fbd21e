"""Flow control of one channel, as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.errors import FlowControlError, LocalProtocolError
from egtunnel.mux.frames import EARLY_WINDOW
from egtunnel.mux.windows import INITIAL_WINDOW, MAX_WINDOW, MIN_WINDOW, SHORT_PATH, ReceiveWindow, SendWindow


def test_the_smallest_window_is_not_below_the_early_one() -> None:
    """Bytes sent early count against the window of the ACCEPT, which therefore cannot be smaller."""
    assert EARLY_WINDOW <= MIN_WINDOW <= INITIAL_WINDOW <= MAX_WINDOW


def test_credit_is_spent_and_granted() -> None:
    """What is sent is gone until the peer gives it back."""
    window = SendWindow(100)
    window.spend(60)
    window.grant(10)
    assert window.credit == 50


def test_sending_beyond_the_credit_is_our_own_fault() -> None:
    """A defect here is named as one."""
    with pytest.raises(LocalProtocolError):
        SendWindow(100).spend(101)


@pytest.mark.parametrize("increment", [0, MAX_WINDOW, 0xFFFFFFFF])
def test_an_impossible_credit_is_the_peers_fault(increment: int) -> None:
    """Nothing, or more than the largest window in all."""
    with pytest.raises(FlowControlError):
        SendWindow(1).grant(increment)


def test_the_largest_credit_is_possible() -> None:
    """Exactly the largest window may be granted."""
    window = SendWindow(1)
    window.grant(MAX_WINDOW - 1)
    assert window.credit == MAX_WINDOW


def test_more_bytes_than_credit_are_the_peers_fault() -> None:
    """The last byte that fits is taken, the next is not."""
    window = ReceiveWindow(100)
    window.receive(100)
    with pytest.raises(FlowControlError):
        window.receive(1)


def test_credit_goes_back_in_halves_of_the_window() -> None:
    """A frame for every byte would cost more than the bytes."""
    window = ReceiveWindow(100)
    window.receive(100)
    assert window.consume(49) == 0
    assert window.consume(1) == 50
    assert window.available == 50


def test_only_what_was_consumed_goes_back() -> None:
    """Bytes that came and wait for a slow reader give no credit."""
    window = ReceiveWindow(100)
    window.receive(80)
    assert window.consume(60) == 60
    assert window.available + window.held == 100


def test_consuming_more_than_came_is_our_own_fault() -> None:
    """A defect here is named as one."""
    window = ReceiveWindow(100)
    window.receive(5)
    with pytest.raises(LocalProtocolError):
        window.consume(6)


def test_a_window_that_keeps_its_peer_waiting_doubles() -> None:
    """Half a window consumed in less than a round trip: the sender has waited for credit."""
    window = ReceiveWindow(INITIAL_WINDOW)
    window.grow(now=10.0, round_trip=0.1)
    assert window.limit == INITIAL_WINDOW, "one measurement is none"
    window.grow(now=10.05, round_trip=0.1)
    assert window.limit == 2 * INITIAL_WINDOW


def test_a_window_that_is_consumed_slowly_stays() -> None:
    """Half a window took longer than a round trip: credit was there in time."""
    window = ReceiveWindow(INITIAL_WINDOW)
    window.grow(now=10.0, round_trip=0.1)
    window.grow(now=10.2, round_trip=0.1)
    assert window.limit == INITIAL_WINDOW


def test_a_window_does_not_grow_on_a_short_path() -> None:
    """There the processor is the bound."""
    window = ReceiveWindow(INITIAL_WINDOW)
    window.grow(now=10.0, round_trip=SHORT_PATH)
    window.grow(now=10.0 + SHORT_PATH / 2, round_trip=SHORT_PATH)
    assert window.limit == INITIAL_WINDOW


def test_a_window_grows_no_further_than_the_budget_allows() -> None:
    """One that is beyond it already stays as it is."""
    window = ReceiveWindow(INITIAL_WINDOW)
    for turn in range(1, 20):
        window.grow(turn * 0.01, 1.0, INITIAL_WINDOW + 1)
    assert window.limit == INITIAL_WINDOW + 1
    window.grow(0.21, 1.0, 1)
    assert window.limit == INITIAL_WINDOW + 1


def test_a_window_below_the_initial_one_grows_back_on_any_path() -> None:
    """It was made small while memory was tight, and that is over; the initial size is reached and not passed."""
    window = ReceiveWindow(MIN_WINDOW)
    for now in range(10):
        window.grow(now=float(now), round_trip=0.0)
    assert window.limit == INITIAL_WINDOW


def test_a_window_never_passes_the_largest() -> None:
    """However long and fast the path."""
    window = ReceiveWindow(INITIAL_WINDOW)
    for turn in range(1, 20):
        window.grow(now=turn * 0.01, round_trip=1.0)
    assert window.limit == MAX_WINDOW


STEPS = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000), st.sampled_from([MIN_WINDOW, 500, 2000, 4000])))


@given(STEPS)
def test_credit_is_never_lost(steps: list[tuple[int, int, int]]) -> None:
    """Whatever is sent, consumed and resized: once all is consumed, the sender can go on."""
    receiver, sender = ReceiveWindow(2000), SendWindow(2000)
    for offer, taken, limit in steps:
        size = min(offer, sender.credit)
        sender.spend(size)
        receiver.receive(size)
        receiver.limit = limit
        for most in (taken, receiver.held):
            given_back = receiver.consume(min(most, receiver.held))
            if given_back:
                sender.grant(given_back)
            assert sender.credit == receiver.available
        assert 2 * sender.credit > receiver.limit, "more than half is there"
