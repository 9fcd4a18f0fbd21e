"""How often an address was wrong of late."""

from __future__ import annotations

from egtunnel.access.wrong import ADDRESSES, Wrong


def test_a_window_begins_with_the_first_wrong_one() -> None:
    """Within it there are so many; then there is a wait until its end."""
    wrong = Wrong(3, 60.0)
    for moment in (10.0, 20.0):
        wrong.note("a", moment)
        assert wrong.wait("a", moment) == 0.0
    wrong.note("a", 30.0)
    assert wrong.wait("a", 30.0) == 40.0
    assert wrong.wait("b", 30.0) == 0.0
    assert wrong.wait("a", 70.0) == 0.0
    wrong.note("a", 70.0)
    assert wrong.wait("a", 70.0) == 0.0


def test_a_crowd_of_addresses_fills_no_memory() -> None:
    """Those whose window began first are forgotten."""
    wrong = Wrong(1, 60.0)
    for number in range(ADDRESSES + 10):
        wrong.note(str(number), 0.0)
    assert len(wrong._known) == ADDRESSES
    assert wrong.wait("0", 0.0) == 0.0
    assert wrong.wait(str(ADDRESSES), 0.0) == 60.0
