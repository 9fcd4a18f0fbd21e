"""Charts: well-formed, to scale, the same for the same figures."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bench.svg import OURS, Bar, Curve, Panel, bars, curves, ticks

SPACE = "{http://www.w3.org/2000/svg}"


def drawn(text: str, kind: str) -> list[ET.Element]:
    return list(ET.fromstring(text).iter(SPACE + kind))


def test_bars_are_to_scale_and_ours_stands_out() -> None:
    """From zero: half the value is half the length."""
    text = bars("T", [Panel("rate (1/s)", [Bar("ours & only", 50, ours=True), Bar("peer", 100)])])
    ours, peer = [each for each in drawn(text, "rect") if each.get("x") != "0"][-2:]
    assert float(ours.attrib["width"]) * 2 == pytest.approx(float(peer.attrib["width"]))
    assert ours.get("fill") == OURS != peer.get("fill")
    said = [each.text for each in drawn(text, "text")]
    assert said == ["rate (1/s)", "ours & only", "50.0", "peer", "100"]


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_value_that_is_not_above_zero_is_still_a_bar(value: float) -> None:
    """Memory may shrink; nothing is divided by it."""
    (bar,) = [each for each in drawn(bars("T", [Panel("x", [Bar("a", value)])]), "rect") if each.get("x") is not None]
    assert float(bar.attrib["width"]) == 1


def test_curves_end_where_their_axes_say() -> None:
    """The highest point of a round value lies on the top line, zero in the corner."""
    text = curves("T", "visitors", "KiB", [Curve("relay", [(0, 0), (1000, 50)]), Curve("client", [(0, 0), (1000, 25)])])
    first, second = (each.attrib["points"].split() for each in drawn(text, "polyline"))
    assert first == ["70.0,270.0", "610.0,40.0"]
    assert second == ["70.0,270.0", "610.0,155.0"]
    said = [each.text for each in drawn(text, "text")]
    assert {"visitors", "KiB", "relay", "client", "1,000", "50"} <= set(said)


@pytest.mark.parametrize("highest", [0.03, 0.5, 1, 4.9, 5, 7, 10, 99, 101, 1234, 10_000, 28_000])
def test_ticks_are_few_round_and_reach_the_highest(highest: float) -> None:
    """A reader can tell values between them."""
    found = ticks(highest)
    assert found[0] == 0
    assert found[-1] >= highest > found[-2]
    assert 4 <= len(found) <= 6


def test_without_values_there_is_an_axis_all_the_same() -> None:
    """Nothing is divided by zero."""
    assert ticks(0) == [0, 1]
    assert drawn(curves("T", "x", "y", []), "line")
