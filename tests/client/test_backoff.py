"""Waits between attempts: short at first, growing, bounded, spread, and fresh again after a welcome."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from egtunnel.client.backoff import Backoff, BackoffLimits


def test_waits_double_from_a_tenth_of_a_second() -> None:
    """Without jitter each failure in a row doubles the wait, until half of the most (the jitter may double it)."""
    backoff = Backoff(lambda: 0.0)
    waits = [backoff.next_delay() for _ in range(10)]
    assert [round(wait, 3) for wait in waits] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 200))
def test_no_wait_leaves_its_bounds(random: float, failures: int) -> None:
    """Whatever the dice say and however long the relay is away: from 0.1 to 30 seconds."""
    backoff = Backoff(lambda: random)
    for _ in range(failures):
        assert 0.1 <= backoff.next_delay() <= 30.0


def test_welcome_makes_the_next_failure_a_fresh_one() -> None:
    """After a reset the first wait is again the shortest."""
    backoff = Backoff(lambda: 0.0)
    for _ in range(7):
        backoff.next_delay()
    backoff.reset()
    assert backoff.failures == 0
    assert backoff.next_delay() == 0.1


def test_who_was_connected_for_a_while_comes_back_at_once() -> None:
    """At 0, 100 and 300 ms; who is thrown out again and again is not in a hurry."""
    backoff = Backoff(lambda: 0.0)
    assert [backoff.next_delay(connected=5.0), backoff.next_delay(), backoff.next_delay()] == [0.0, 0.1, 0.2]
    backoff.reset()
    assert backoff.next_delay(connected=4.9) == 0.1


def test_a_link_that_moved_much_was_a_good_one_however_short_it_stood() -> None:
    """Resets in the middle of a transfer cost it no waits; a link that is cut before it moved anything does."""
    backoff = Backoff(lambda: 0.0)
    assert backoff.next_delay(connected=0.03, carried=1 << 20) == 0.0
    assert backoff.next_delay(carried=1 << 20) == 0.1
    backoff.reset()
    assert backoff.next_delay(connected=0.03, carried=(1 << 20) - 1) == 0.1


def test_clients_cut_off_together_do_not_come_back_together() -> None:
    """After seven failures no second holds more than a fifth of 500 clients."""
    random = Random(7)
    seconds: dict[int, int] = {}
    for _ in range(500):
        backoff = Backoff(random.random)
        moment = sum(backoff.next_delay() for _ in range(7))
        seconds[int(moment)] = seconds.get(int(moment), 0) + 1
    assert max(seconds.values()) <= 100


def test_the_wait_that_a_refusal_asks_for_is_kept() -> None:
    """``after`` is a lower bound; our own wait stands where it is longer."""
    backoff = Backoff(lambda: 0.0)
    assert backoff.next_delay(after=5.0) == 5.0
    for _ in range(9):
        backoff.next_delay()
    assert backoff.next_delay(after=5.0) == 15.0


def test_a_relay_cannot_send_us_away_for_ever() -> None:
    """``after`` is the peer's, so it has a limit of ours."""
    backoff = Backoff(lambda: 0.0, BackoffLimits(after=60.0))
    assert backoff.next_delay(after=1e9) == 60.0
