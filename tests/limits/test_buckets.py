"""Limits are arithmetic: nothing is lost, nothing is given twice."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.limits.bucket import SECOND, Bucket, Rate, nanoseconds
from egtunnel.limits.headers import policy_value, rate_limit_value, retry_after
from egtunnel.limits.pacing import Pacer
from egtunnel.limits.quota import Quota, month_of, next_month

RATES = st.builds(Rate, st.integers(1, 10**6), st.integers(1, 3_600), st.integers(1, 10**6))
STEPS = st.lists(st.tuples(st.integers(0, 10 * SECOND), st.integers(1, 50)), max_size=50)
START = 10**17


@given(RATES, STEPS)
def test_a_bucket_is_the_fraction_it_stands_for(rate: Rate, steps: list[tuple[int, int]]) -> None:
    """Against the same in fractions: never a rounding, however old the clock."""
    bucket, level, now = Bucket(rate, START), Fraction(rate.burst), START
    for pause, count in steps:
        now += pause
        level = min(Fraction(rate.burst), level + Fraction(pause * rate.amount, rate.period * SECOND))
        taken = bucket.take(now, count)
        assert taken == (count <= level)
        level -= count if taken else 0
        assert bucket.available(now) == int(level)


@given(RATES, STEPS, st.integers(1, 50))
def test_who_waits_as_told_gets_it_and_not_a_nanosecond_earlier(
    rate: Rate, steps: list[tuple[int, int]], count: int
) -> None:
    """``wait`` is exact."""
    bucket, now = Bucket(rate, START), START
    for pause, spent in steps:
        now += pause
        bucket.spend(now, spent)
    count = min(count, rate.burst)
    if wait := bucket.wait(now, count):
        assert not bucket.take(now + wait - 1, count)
    assert bucket.take(now + wait, count)


def test_2000_a_second_against_100_a_second() -> None:
    """For ten seconds: what passes is the rate and the first burst."""
    bucket = Bucket(Rate(100, 1, 5), 0)
    assert sum(bucket.take(turn * SECOND // 2_000) for turn in range(20_000)) == 100 * 10 + 5 - 1


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """And takes nothing."""
    bucket = Bucket(Rate(1, 1, 1), 5 * SECOND)
    assert bucket.take(5 * SECOND)
    assert not bucket.take(0)
    assert bucket.wait(0) == SECOND
    assert bucket.until_full(6 * SECOND) == 0


@pytest.mark.parametrize("rate", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_no_rate(rate: tuple[int, int, int]) -> None:
    """A limit of nothing would be waited for in vain."""
    with pytest.raises(ValueError, match="rate"):
        Rate(*rate)


def test_what_an_answer_says() -> None:
    """What is left, when there is more, and of what."""
    bucket = Bucket(Rate(10, 60, 3), 0)
    assert policy_value("visitor", bucket) == '"visitor";q=10;w=60'
    assert rate_limit_value("visitor", bucket, 0) == '"visitor";r=3;t=0'
    for _ in range(3):
        assert bucket.take(0)
    assert rate_limit_value("visitor", bucket, 0) == '"visitor";r=0;t=6'
    assert retry_after(bucket, 0) == 6
    assert retry_after(bucket, nanoseconds(5.5)) == 1
    assert bucket.take(nanoseconds(6))
    for name in ("", 'a"b', "a\r\nb"):
        with pytest.raises(ValueError, match="name"):
            policy_value(name, bucket)


@given(RATES, st.lists(st.integers(0, 10 * SECOND), max_size=20))
def test_retry_after_is_long_enough(rate: Rate, pauses: list[int]) -> None:
    """Who comes back after that many seconds gets in."""
    bucket, now = Bucket(rate, 0), 0
    for pause in pauses:
        now += pause
        bucket.spend(now, 1)
    assert bucket.take(now + retry_after(bucket, now) * SECOND)


@given(st.integers(2_000, 10**9), st.lists(st.integers(1, 65_536), min_size=1, max_size=200))
def test_paced_bytes_keep_the_rate(rate: int, pieces: list[int]) -> None:
    """A reader that takes no more than allowed and waits as told: within the rate and one burst, and not below it."""
    pacer, now, sent = Pacer(rate, 0), 0, 0
    for piece in pieces:
        allowed = pacer.allowed(now)
        if not allowed:
            wait = pacer.wait(now)
            assert wait > 0
            now += nanoseconds(wait)
            allowed = pacer.allowed(now)
        assert allowed > 0
        took = min(piece, allowed)
        pacer.spend(now, took)
        sent += took
    burst = max(1_024, rate // 20)
    assert sent <= burst + rate * now / SECOND + 1
    assert sent >= rate * now / SECOND - burst


def test_ten_downloads_share_a_megabyte_a_second() -> None:
    """Within 5 %, over ten seconds; each reads 64 KiB at most."""
    pacer, sent = Pacer(1_000_000, 0), 0
    turn = 0
    while turn < 10_000:
        for _ in range(10):
            took = min(65_536, pacer.allowed(turn * 1_000_000))
            pacer.spend(turn * 1_000_000, took)
            sent += took
        turn += 1
    assert 9_500_000 <= sent <= 10_500_000


def test_what_came_beyond_what_was_allowed_is_waited_for() -> None:
    """A TLS record is not cut."""
    pacer = Pacer(100_000, 0)
    pacer.spend(0, 105_000)
    wait = nanoseconds(pacer.wait(0))
    assert SECOND < wait < 1.1 * SECOND
    assert pacer.allowed(wait - 2) == 0
    assert pacer.allowed(wait) > 0


NOVEMBER = 1_795_564_800.0
"""2026-11-25."""


def test_a_quota_is_for_a_month_of_utc() -> None:
    """At its end everything is there again."""
    quota = Quota(1_000)
    quota.add(900, NOVEMBER)
    assert quota.left(NOVEMBER) == 100
    assert quota.retry_after(NOVEMBER) == 0
    quota.add(200, NOVEMBER)
    assert quota.left(NOVEMBER) == 0
    wait = quota.retry_after(NOVEMBER)
    assert quota.left(NOVEMBER + wait) == 1_000
    assert month_of(NOVEMBER + wait) == "2026-12"
    assert quota.left(NOVEMBER) == 1_000  # December has begun; a clock set back does not bring November again


def test_what_the_store_knows_counts() -> None:
    """Of this month only, and never downwards."""
    quota = Quota(1_000)
    quota.restore("2026-11", 600, NOVEMBER)
    quota.restore("2026-11", 500, NOVEMBER)
    quota.restore("2026-10", 999, NOVEMBER)
    assert quota.left(NOVEMBER) == 400


@given(st.floats(0, 4e9))
def test_the_next_month_begins_later_and_is_another(now: float) -> None:
    """Over the turn of years, too."""
    begins = next_month(now)
    assert begins > now
    assert month_of(begins) > month_of(now)
    assert month_of(begins - 1) == month_of(now)
