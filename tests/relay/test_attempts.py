"""Wrong tokens by address: arithmetic with a clock that is an argument."""

from __future__ import annotations

import pytest

from egtunnel.relay.attempts import AttemptLimits, Attempts, source_of

LIMITS = AttemptLimits(free=3, first=0.25, slowest=4.0, refused=10, rest=300.0, forget=600.0, addresses=3)


def test_answers_come_later_and_later_and_then_not_at_all() -> None:
    """Three at once, then twice as late each time up to the slowest, then a rest; and from the beginning again."""
    attempts = Attempts(LIMITS)
    assert [attempts.wrong("a", 1.0) for _ in range(9)] == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 4]
    assert attempts.refused_for("a", 1.0) == 0
    attempts.wrong("a", 2.0)
    assert attempts.refused_for("a", 2.0) == 300
    assert attempts.refused_for("a", 301.5) == 0.5
    assert attempts.refused_for("a", 302.0) == 0
    assert attempts.wrong("a", 302.0) == 0
    assert attempts.refused_for("b", 2.0) == 0


def test_what_is_long_ago_is_forgotten() -> None:
    """A person who mistypes once a day is never slowed down."""
    attempts = Attempts(LIMITS)
    assert [attempts.wrong("a", 600.0 * day) for day in range(20)] == [0.0] * 20
    assert attempts.wrong("b", 0.0) == 0
    assert [attempts.wrong("b", 599.0) for _ in range(3)] == [0, 0, 0.25]


def test_addresses_are_bounded_and_the_oldest_goes_first() -> None:
    """Whoever has many addresses cannot fill our memory."""
    attempts = Attempts(LIMITS)
    for source in ("a", "b", "a", "c", "d"):
        attempts.wrong(source, 0.0)
    assert len(attempts) == 3
    assert [attempts.wrong("a", 0.0) for _ in range(2)] == [0, 0.25]  # was kept: its third and fourth


def test_a_limit_set_very_high_is_no_error() -> None:
    """Powers of two have an end as floats."""
    attempts = Attempts(AttemptLimits(free=0, refused=5000))
    assert max(attempts.wrong("a", 0.0) for _ in range(4000)) == 4.0


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("tcp4:192.0.2.7:4711", "192.0.2.7"),
        ("tcp6:2001:db8:1:2:3:4:5:6:4711", "2001:db8:1:2::/64"),
        ("tcp6:[2001:db8::1]:4711", "2001:db8::/64"),
        ("tcp6:::ffff:192.0.2.7:4711", "192.0.2.7"),
        ("unix:/run/relay:0", "/run/relay"),
        ("memory", "memory"),
        ("", ""),
    ],
)
def test_the_source_of_a_link(peer: str, source: str) -> None:
    """IPv6 by networks of 64 bits, since one household has all addresses of one."""
    assert source_of(peer) == source
