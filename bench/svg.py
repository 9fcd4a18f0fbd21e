"""Charts as SVG text: panels of bars, and curves. Nothing but text comes out, the same for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from attrs import frozen

from bench.table import number

__all__ = ["Bar", "Curve", "Panel", "bars", "curves", "ticks"]

WIDTH = 760
LABELS = 170
ROW = 20
HEAD = 30
GAP = 18
EDGE = 16
PLOT = (70, 40, WIDTH - 150, 270)
"""Left, top, right and bottom of the curves."""
COLOURS = ("#1f6feb", "#d9730d", "#2da44e", "#8250df", "#57606a")
OURS, OTHERS, TEXT, RULE = "#1f6feb", "#b6bec8", "#24292f", "#d8dee4"
STYLE = f'font-family="sans-serif" font-size="12" fill="{TEXT}"'


@frozen
class Bar:
    """One value.

    :ivar ours: drawn in the colour that stands out
    """

    label: str
    value: float
    ours: bool = False


@frozen
class Panel:
    """Bars of one metric on one scale; the title says the unit, and which way is better."""

    title: str
    bars: Sequence[Bar]


@frozen
class Curve:
    """A line through points of (x, y)."""

    label: str
    points: Sequence[tuple[float, float]]


def bars(title: str, panels: Sequence[Panel]) -> str:
    """Panels below each other, each on a scale of its own that begins at zero."""
    parts, top = [], EDGE
    for panel in panels:
        parts.append(_text(EDGE, top + 14, panel.title, weight="bold"))
        top += HEAD
        widest = max((bar.value for bar in panel.bars), default=0.0)
        for bar in panel.bars:
            parts += _bar(bar, top, widest)
            top += ROW
        top += GAP
    return _document(title, top, parts)


def _bar(bar: Bar, top: int, widest: float) -> list[str]:
    room = WIDTH - LABELS - 90
    length = max(bar.value, 0.0) / widest * room if widest > 0 else 0.0
    fill = OURS if bar.ours else OTHERS
    return [
        _text(LABELS - 8, top + 13, bar.label, anchor="end"),
        f'<rect x="{LABELS}" y="{top + 2}" width="{max(length, 1):.1f}" height="{ROW - 5}" fill="{fill}"/>',
        _text(LABELS + round(length) + 6, top + 13, number(bar.value)),
    ]


def curves(title: str, x_label: str, y_label: str, lines: Sequence[Curve]) -> str:
    """Lines over common axes that both begin at zero; labels of axes name their units."""
    left, top, right, bottom = PLOT
    across = ticks(max((x for line in lines for x, _ in line.points), default=0.0))
    up = ticks(max((y for line in lines for _, y in line.points), default=0.0))
    parts = [_text(EDGE, 20, title, weight="bold")]
    for value in up:
        y = bottom - value / up[-1] * (bottom - top)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{RULE}"/>')
        parts.append(_text(left - 6, round(y) + 4, f"{value:,g}", anchor="end"))
    for value in across:
        x = left + value / across[-1] * (right - left)
        parts.append(_text(round(x), bottom + 18, f"{value:,g}", anchor="middle"))
    parts.append(_text((left + right) // 2, bottom + 38, x_label, anchor="middle"))
    parts.append(_text(left, top - 8, y_label))
    for place, line in enumerate(lines):
        colour = COLOURS[place % len(COLOURS)]
        at = [(left + x / across[-1] * (right - left), bottom - y / up[-1] * (bottom - top)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at]
        parts.append(f'<rect x="{right + 14}" y="{top + place * 20}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(right + 32, top + 10 + place * 20, line.label))
    return _document(title, bottom + 52, parts)


def ticks(highest: float) -> list[float]:
    """Round values from zero to at least ``highest``, four to six of them."""
    if highest <= 0:
        return [0.0, 1.0]
    step = 1.0
    while step * 5 < highest:
        step *= 10
    while step * 5 >= highest * 10:
        step /= 10
    for share in (0.1, 0.2, 0.25, 0.5, 1.0):
        if step * share * 5 >= highest:
            step *= share
            break
    count = -int(-highest / step // 1)
    return [step * place for place in range(count + 1)]


def _text(x: int, y: int, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" {STYLE}>{escape(text)}</text>'


def _document(title: str, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, *parts, "</svg>"]) + "\n"
