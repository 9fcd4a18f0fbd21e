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


def consumed(window: ReceiveWindow, share: float, *times: float, round_trip: float = 0.1) -> int:
    """The limit after such a part of the window was consumed before each of the times."""
    for now in times:
        window.grow(int(share * window.limit), now, round_trip)
    return window.limit


def test_a_window_that_keeps_its_peer_waiting_doubles() -> None:
    """Half a window or more consumed in a round trip: the sender has waited for credit."""
    window = ReceiveWindow(INITIAL_WINDOW)
    assert consumed(window, 0.5, 10.0) == INITIAL_WINDOW, "nobody knows how long that took"
    assert consumed(window, 0.5, 10.11) == 2 * INITIAL_WINDOW
    assert consumed(window, 0.5, 10.22) == 4 * INITIAL_WINDOW


def test_credit_that_goes_back_in_bursts_is_measured_over_a_round_trip() -> None:
    """Both halves at one moment, then nothing until the sender has answered: a sender that waits, too."""
    window = ReceiveWindow(INITIAL_WINDOW)
    consumed(window, 0.5, 10.0, 10.0)
    assert consumed(window, 0.5, 10.104, 10.104) == 2 * INITIAL_WINDOW


def test_one_half_in_a_little_more_than_a_round_trip_is_still_a_sender_that_waits() -> None:
    """The kept round trip is the shortest; every real one is a little longer."""
    window = ReceiveWindow(INITIAL_WINDOW)
    consumed(window, 0.5, 10.0)
    assert consumed(window, 0.5, 10.12) == 2 * INITIAL_WINDOW


def test_a_window_that_is_consumed_slowly_stays() -> None:
    """Half a window took far longer than a round trip: credit was there in time."""
    window = ReceiveWindow(INITIAL_WINDOW)
    assert consumed(window, 0.5, 10.0, 10.2, 10.4, 10.6) == INITIAL_WINDOW


def test_a_window_does_not_grow_on_a_short_path() -> None:
    """There the processor is the bound."""
    window = ReceiveWindow(INITIAL_WINDOW)
    times = [10.0 + turn * SHORT_PATH for turn in range(10)]
    assert consumed(window, 0.5, *times, round_trip=SHORT_PATH) == INITIAL_WINDOW


def test_a_window_below_the_initial_one_grows_back_on_any_path() -> None:
    """It was made small while memory was tight, and that is over; the initial size is reached and not passed."""
    window = ReceiveWindow(MIN_WINDOW)
    assert consumed(window, 0.5, *range(10), round_trip=0.0) == INITIAL_WINDOW


def test_a_window_never_passes_the_largest() -> None:
    """However long and fast the path; nor what the caller allows, and none is made smaller by that."""
    assert consumed(ReceiveWindow(INITIAL_WINDOW), 0.5, *range(1, 20), round_trip=1.0) == MAX_WINDOW
    window = ReceiveWindow(INITIAL_WINDOW)
    for now in range(20):
        window.grow(window.limit, float(now), 1.0, most=INITIAL_WINDOW // 2)
    assert window.limit == INITIAL_WINDOW


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
