"""Networks that an administrator names."""

from __future__ import annotations

import pytest

from egtunnel.ingress.front.networks import Networks, read_networks


def named(*texts: str) -> Networks:
    return Networks(tuple(network for text in texts for network in read_networks(text)))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.0/8", "10.1.2.3", "11.0.0.1"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
        ("2001:db8::1", "2001:db8:0::1", "2001:db8::2"),
        ("loopback", "127.9.9.9", "128.0.0.1"),
        ("Loopback", "::1", "::2"),
        ("private", "172.31.0.1", "172.32.0.1"),
        ("private", "fd00::1", "fe80::1"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
    ],
)
def test_an_address_is_in_a_network_or_not(text: str, inside: str, outside: str) -> None:
    """Networks, single addresses, words; an IPv4 address stays one within an IPv6 socket."""
    assert inside in named(text)
    assert outside not in named(text)


def test_several_networks_are_one_set() -> None:
    """Each may be named by itself."""
    both = named("10.0.0.0/8", "::1")
    assert "10.0.0.1" in both and "::1" in both and "127.0.0.1" not in both


@pytest.mark.parametrize("text", ["", "unix", "unknown", "10.0.0", "10.0.0.1:80", "[::1]", "_hidden", "fe80::1%9"])
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    """Such texts come in headers; nobody is believed for them."""
    assert text not in named("10.0.0.0/8", "::1/128")
    assert text not in Networks()


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "public", "", "10.0.0.0-10.1.0.0", "example.com"])
def test_what_is_no_network_is_refused(text: str) -> None:
    """Host bits that are set are a mistake, too: nobody knows which of the two was meant."""
    with pytest.raises(ValueError, match="it must be a network such as"):
        read_networks(text)
