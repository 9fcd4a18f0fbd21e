"""A tunnel's terms: read as written, bounded by the relay's, and kept exactly."""

from __future__ import annotations

import pytest

from egtunnel.limits.allowance import Allowance
from egtunnel.limits.bucket import SECOND, Rate
from egtunnel.limits.terms import Terms, bandwidth_of, rate_of


def test_rates_are_read_as_written() -> None:
    """With a burst of a twentieth of a second, if nobody chose one."""
    assert rate_of("100/s") == Rate(100, 1, 5)
    assert rate_of("6000/m") == Rate(6_000, 60, 5)
    assert rate_of("50/h", 10) == Rate(50, 3_600, 10)
    assert rate_of("1/s") == Rate(1, 1, 1)


@pytest.mark.parametrize(
    "text", ["", "100", "0/s", "-1/s", "1.5/s", "100/d", " 1/s", "1/s\n", "9" * 13 + "/s", "\u0661/s"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    """Numbers without end, too."""
    with pytest.raises(ValueError):
        rate_of(text)


def test_bandwidths_are_bytes_a_second() -> None:
    """In powers of ten."""
    assert [bandwidth_of(text) for text in ("1024", "500k", "1M", "2G")] == [1_024, 500_000, 10**6, 2 * 10**9]


@pytest.mark.parametrize("text", ["", "0", "1m", "1MB", "-1", "1.5M", "9999999999999", "9999G" + "0"])
def test_what_is_no_bandwidth_is_refused(text: str) -> None:
    """An unknown unit is not guessed at."""
    with pytest.raises(ValueError):
        bandwidth_of(text)


def test_the_stricter_of_both_holds() -> None:
    """Limit by limit; a rate over a longer time is compared by what it brings, and its burst is bounded as well."""
    asked = Terms(Rate(100, 1, 50), None, 10, 2_000, None)
    bounds = Terms(Rate(600, 60, 20), Rate(5, 1, 5), 20, 1_000, None)
    both = Terms(Rate(600, 60, 20), Rate(5, 1, 5), 10, 1_000, None)
    assert asked.within(bounds) == bounds.within(asked) == both
    assert Terms(Rate(1, 1, 50)).within(Terms(Rate(100, 1, 5))).rate == Rate(1, 1, 5)
    assert asked.within(Terms()) == asked


def test_2000_a_second_against_100_a_second() -> None:
    """In each of ten seconds between 98 and 105 pass; all others are counted as refused."""
    allowance = Allowance(Terms(rate=rate_of("100/s")), 0)
    passed = [
        sum(allowance.judge("a", (second * 2_000 + turn) * SECOND // 2_000) is None for turn in range(2_000))
        for second in range(10)
    ]
    assert all(98 <= number <= 105 for number in passed)
    assert allowance.refused["tunnel"] == 20_000 - sum(passed)


def test_one_visitor_does_not_use_up_the_others_share() -> None:
    """What the limit of an address refuses is not taken from the tunnel."""
    allowance = Allowance(Terms(Rate(10, 1, 10), Rate(1, 1, 2)), 0)
    assert [allowance.judge("fast", 0) is None for _ in range(50)].count(True) == 2
    assert allowance.left(0) == {"requests": 8}
    assert allowance.judge("calm", 0) is None
    assert allowance.refused == {"tunnel": 0, "address": 48, "connections": 0}


def test_what_the_tunnel_refuses_costs_the_address_nothing() -> None:
    """Its own share is there when the tunnel has room again."""
    allowance = Allowance(Terms(Rate(1, 1, 1), Rate(1, 3_600, 2)), 0)
    assert allowance.judge("a", 0) is None
    refusal = allowance.judge("a", 0)
    assert refusal is not None and refusal.limit == "tunnel"
    assert allowance.judge("a", SECOND) is None


def test_a_refusal_says_when_to_come_again() -> None:
    """Who waits as told is let in."""
    allowance = Allowance(Terms(rate_per_address=Rate(1, 60, 1)), 0)
    assert allowance.judge("a", 0) is None
    refusal = allowance.judge("a", SECOND)
    assert refusal is not None
    assert dict(refusal.fields) == {
        "Retry-After": "59",
        "RateLimit": '"address";r=0;t=59',
        "RateLimit-Policy": '"address";q=1;w=60',
    }
    assert allowance.judge("a", 60 * SECOND) is None


def test_no_more_addresses_are_remembered_than_stated() -> None:
    """The one silent longest is forgotten; those that go on asking are not."""
    allowance = Allowance(Terms(rate_per_address=Rate(1, 3_600, 1)), 0, addresses=3)
    for address in ("a", "b", "c", "a", "d"):
        allowance.judge(address, 0)
    assert allowance.addresses == 3
    assert allowance.judge("a", 0) is not None
    assert allowance.judge("b", 0) is None


def test_connections_come_and_go() -> None:
    """A refused one is counted and takes no place."""
    allowance = Allowance(Terms(connections=2), 0)
    assert [allowance.enter() for _ in range(3)] == [True, True, False]
    assert allowance.left(0) == {"connections": 0}
    allowance.leave()
    assert allowance.enter()
    assert allowance.refused["connections"] == 1


def test_without_terms_nothing_is_refused() -> None:
    """Nor remembered."""
    allowance = Allowance(Terms(), 0)
    assert all(allowance.judge(str(turn), 0) is None and allowance.enter() for turn in range(100))
    assert (allowance.addresses, allowance.left(0)) == (0, {})
