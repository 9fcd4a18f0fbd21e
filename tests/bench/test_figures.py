"""The arithmetic of the table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Summary, percentile, ratio, summarise
from bench.metrics import Better, Metric, Sample

RATE = Metric("rate", "rate", "1/s", Better.HIGHER)
TIME = Metric("time", "time", "ms", Better.LOWER)
NOTE = Metric("note", "note", "MB/s", Better.NEITHER)


def test_percentile_is_by_nearest_rank() -> None:
    """Of 1..100, half lie at or below 50, and 99 in a hundred at or below 99."""
    values = list(range(100, 0, -1))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)) == (50, 99, 100)


def test_the_lowest_percentile_is_the_lowest_value() -> None:
    """A share of nothing still names a value that was seen."""
    assert percentile([3.0, 1.0, 2.0], 0) == 1.0


def test_percentile_of_nothing_is_refused() -> None:
    """There is no figure without a sample."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize("share", [-0.1, 1.1, 99])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    """99 where 0.99 was meant is a mistake, not the maximum."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile([1.0], share)


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 100))
def test_at_least_the_share_lies_at_or_below_the_percentile(values: list[int], percent: int) -> None:
    """The definition, for any values: enough lie at or below it, and fewer below it."""
    found = percentile(values, percent / 100)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_a_rate_above_the_bar_is_better() -> None:
    """Twice the rate is twice as good."""
    assert ratio(RATE, 200, 100) == 2


def test_a_time_below_the_bar_is_better() -> None:
    """Half the time is twice as good, so that all ratios read alike."""
    assert ratio(TIME, 50, 100) == 2


@pytest.mark.parametrize(("metric", "value", "bar"), [(RATE, 1, None), (RATE, 1, 0), (TIME, -1, 5), (NOTE, 5, 5)])
def test_no_ratio_where_it_would_say_nothing(metric: Metric, value: float, bar: float | None) -> None:
    """No bar, no positive figure, or a metric that only explains others."""
    assert ratio(metric, value, bar) is None


def test_samples_of_all_rounds_are_summed_up_by_contender_and_metric() -> None:
    """The median of three rounds stands for them, and the spread is known."""
    samples = [Sample(n, "a", "rate", value) for n, value in enumerate([10.0, 30.0, 20.0])]
    found = summarise([*samples, Sample(1, "b", "rate", 7.0)])
    assert found == {("a", "rate"): Summary(20.0, 10.0, 30.0, 3), ("b", "rate"): Summary(7.0, 7.0, 7.0, 1)}
    assert found["a", "rate"].spread == 1.0


def test_a_median_of_zero_has_no_spread() -> None:
    """No division by zero when nothing was measured but nothing."""
    assert Summary(0.0, 0.0, 4.0, 3).spread == 0.0
