"""Arithmetic over samples: median, percentile, spread, and the ratio to the contender that sets the bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from attrs import frozen

from bench.metrics import Better, Metric, Sample

__all__ = ["Summary", "percentile", "ratio", "summarise"]


@frozen
class Summary:
    """The samples of one contender for one metric, in short."""

    median: float
    lowest: float
    highest: float
    count: int

    @property
    def spread(self) -> float:
        """The width of all samples as a share of the median; 0.0 when all are equal."""
        return (self.highest - self.lowest) / abs(self.median) if self.median else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value below or at which ``share`` (0 to 1) of the values lie, by nearest rank.

    :raises ValueError: there are no values, or the share is outside 0 to 1
    """
    if not values:
        raise ValueError("no values")
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1, not at {share}")
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)  # the ceiling, in the arithmetic of the argument
    return ordered[max(rank, 1) - 1]


def summarise(samples: Iterable[Sample]) -> dict[tuple[str, str], Summary]:
    """Summaries by (contender, metric key)."""
    groups: dict[tuple[str, str], list[float]] = {}
    for sample in samples:
        groups.setdefault((sample.contender, sample.metric), []).append(sample.value)
    return {key: Summary(median(values), min(values), max(values), len(values)) for key, values in groups.items()}


def ratio(metric: Metric, value: float, bar: float | None) -> float | None:
    """How many times as good as the bar a value is: above 1 is better, whichever way the metric runs.

    ``None`` where a ratio says nothing: no bar, a value or bar that is not above zero, or a metric that only explains.
    """
    if bar is None or bar <= 0 or value <= 0 or metric.better is Better.NEITHER:
        return None
    return value / bar if metric.better is Better.HIGHER else bar / value
