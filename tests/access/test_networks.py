"""Rules about a visitor's address."""

from __future__ import annotations

import pytest

from egtunnel.access.limits import AccessLimits
from egtunnel.access.networks import NOT_FROM_HERE, REMEMBERED, allow, deny
from egtunnel.guard import AccessError, Asked
from egtunnel.interfaces import Visitor

LIMITS = AccessLimits()
ASKED = Asked(b"GET", b"/")


def visitor(host: str) -> Visitor:
    """Somebody with this address."""
    return Visitor("tcp", host, 4711, "20000")


@pytest.mark.parametrize(
    ("networks", "host", "inside"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7"], "192.0.2.8", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["loopback"], "127.0.0.1", True),
        (["LOOPBACK"], "::1", True),
        (["private"], "192.168.1.1", True),
        (["private"], "192.0.2.1", False),
        (["192.0.2.0/24", "10.0.0.0/8"], "10.0.0.1", True),
    ],
)
def test_an_address_is_in_a_network_or_not(networks: list[str], host: str, inside: bool) -> None:
    """Allowed is who is inside, denied as well: the one is the other's opposite."""
    assert allow(networks, LIMITS).admits(visitor(host)) is inside
    assert deny(networks, LIMITS).admits(visitor(host)) is not inside
    assert allow(networks, LIMITS).judge(ASKED, visitor(host)) is (None if inside else NOT_FROM_HERE)


@pytest.mark.parametrize("host", ["", "unix", "not an address", "1.2.3", "::g"])
def test_who_has_no_address_never_comes_in(host: str) -> None:
    """Neither rule knows where it is."""
    assert not allow(["0.0.0.0/0", "::/0"], LIMITS).admits(visitor(host))
    assert not deny(["10.0.0.0/8"], LIMITS).admits(visitor(host))


@pytest.mark.parametrize(
    "value", [[], "10.0.0.0/8", {}, None, [1], [""], ["10.0.0.1/8"], ["10.0.0.0/33"], ["::ffff:10.0.0.0/104"], ["home"]]
)
def test_what_is_no_list_of_networks_is_refused(value: object) -> None:
    """Also one with host bits, which somebody meant otherwise, and one that would hold nobody."""
    for rule in (allow, deny):
        with pytest.raises(AccessError):
            rule(value, LIMITS)


def test_there_are_so_many_networks_at_most() -> None:
    """And no more."""
    networks = [f"10.0.{number}.0/24" for number in range(LIMITS.networks)]
    assert allow(networks, LIMITS).admits(visitor("10.0.7.1"))
    with pytest.raises(AccessError, match=f"1 to {LIMITS.networks}"):
        allow([*networks, "10.1.0.0/24"], LIMITS)


def test_a_crowd_of_addresses_fills_no_memory() -> None:
    """So many are remembered; the answers stay right."""
    rule = allow(["10.0.0.0/9"], LIMITS)
    for number in range(3 * REMEMBERED):
        assert rule.admits(visitor(f"10.{number % 256}.{number // 256}.1")) is (number % 256 < 128)
    assert len(rule._known) <= REMEMBERED
