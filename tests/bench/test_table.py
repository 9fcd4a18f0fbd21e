"""The table that people read."""

from __future__ import annotations

import pytest

from bench.figures import Summary
from bench.metrics import Better, Metric
from bench.table import number, render

RATE = Metric("rate", "requests", "1/s", Better.HIGHER)
TIME = Metric("time", "latency", "ms", Better.LOWER)
COLUMNS = [("ssh", "ssh *"), ("ours", "ours")]


def steady(value: float) -> Summary:
    return Summary(value, value, value, 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12949.4, "12,949"), (100, "100"), (87.123, "87.1"), (4.2, "4.20"), (0.0534, "0.053"), (-3.456, "-3.46")],
)
def test_a_number_shows_the_digits_that_matter(value: float, text: str) -> None:
    """Thousands whole and with commas, small ones with decimals."""
    assert number(value) == text


def test_the_table_puts_a_ratio_beside_each_median() -> None:
    """Metrics down, contenders across; twice the rate and half the latency both read 2.00x."""
    summaries = {
        ("ssh", "rate"): steady(1000),
        ("ours", "rate"): steady(2000),
        ("ssh", "time"): steady(0.5),
        ("ours", "time"): steady(0.25),
    }
    assert render([RATE, TIME], COLUMNS, summaries, "ssh").splitlines() == [
        "|                |        ssh * |         ours |",
        "|----------------|-------------:|-------------:|",
        "| requests (1/s) | 1,000  1.00x | 2,000  2.00x |",
        "| latency (ms)   | 0.500  1.00x | 0.250  2.00x |",
    ]


def test_all_lines_of_the_table_are_equally_wide() -> None:
    """Columns stay under each other whatever stands in them."""
    summaries = {("ssh", "rate"): steady(1), ("ours", "rate"): Summary(123456.0, 1.0, 200000.0, 3)}
    lines = render([RATE], COLUMNS, summaries, "ssh").splitlines()
    assert len({len(line) for line in lines}) == 1


def test_a_missing_figure_is_a_dash() -> None:
    """What failed is not a zero."""
    row = render([RATE], COLUMNS, {("ssh", "rate"): steady(5)}, "ssh").splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")] == ["", "requests (1/s)", "5.00  1.00x", "-", ""]


def test_without_the_bar_there_are_no_ratios() -> None:
    """A run without ssh still gives a table."""
    assert "x" not in render([RATE], [("ours", "ours")], {("ours", "rate"): steady(5)}, "ssh")


def test_a_metric_that_nobody_has_is_left_out() -> None:
    """With --work the table holds only what was done."""
    assert "latency" not in render([RATE, TIME], COLUMNS, {("ours", "rate"): steady(5)}, "ssh")


def test_figures_that_spread_widely_are_marked() -> None:
    """A reader sees which medians to distrust; a single sample cannot be told."""
    noisy, single = Summary(100.0, 80.0, 120.0, 3), Summary(100.0, 100.0, 100.0, 1)
    table = render([RATE], [("a", "a"), ("b", "b")], {("a", "rate"): noisy, ("b", "rate"): single}, "ssh")
    assert table.count("~") == 1
    assert "~100" in table
