"""The table for people: metrics down, contenders across, medians with ratios; valid Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Summary, ratio
from bench.metrics import Metric

__all__ = ["NOISY", "number", "render"]

NOISY = 0.3
"""A median whose samples spread wider than this share of it is marked with ``~``."""

Summaries = dict[tuple[str, str], Summary]


def number(value: float) -> str:
    """A value with about three digits that matter: ``12,949``, ``87.1``, ``4.20``, ``0.053``."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    if abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}"


def render(metrics: Sequence[Metric], contenders: Sequence[tuple[str, str]], summaries: Summaries, bar: str) -> str:
    """The table as text that ends with a line break.

    :param contenders: (name, label) of each column
    :param bar: the contender against which ratios are taken; it may be absent from the summaries
    """
    names = [name for name, _ in contenders]
    measured = [metric for metric in metrics if any((name, metric.key) in summaries for name in names)]
    rows = [["", *(label for _, label in contenders)], *(_row(metric, names, summaries, bar) for metric in measured)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "|".join(["", "-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:]), ""])
    lines = [_line(rows[0], widths), rule, *(_line(row, widths) for row in rows[1:])]
    return "\n".join(lines) + "\n"


def _row(metric: Metric, names: Sequence[str], summaries: Summaries, bar: str) -> list[str]:
    against = summaries.get((bar, metric.key))
    cells = [_cell(metric, summaries.get((name, metric.key)), against) for name in names]
    return [f"{metric.title} ({metric.unit})", *cells]


def _cell(metric: Metric, summary: Summary | None, against: Summary | None) -> str:
    if summary is None:
        return "-"
    mark = "~" if summary.count > 1 and summary.spread > NOISY else ""
    times = ratio(metric, summary.median, against.median if against else None)
    return f"{mark}{number(summary.median)}" + (f" {times:5.2f}x" if times is not None else "")


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "| " + " | ".join([first, *rest]) + " |"
