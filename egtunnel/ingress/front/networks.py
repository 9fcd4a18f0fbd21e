"""Networks that an administrator names: who of those that connect is believed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import attrs

__all__ = ["Network", "Networks", "read_networks"]

Network = IPv4Network | IPv6Network

WORDS = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}
"""What a word stands for: this machine (RFC 1122, RFC 4291), and networks of nobody's (RFC 1918, RFC 4193)."""


def read_networks(text: str) -> tuple[Network, ...]:
    """The networks of one value: ``10.0.0.0/8``, ``2001:db8::1``, ``loopback`` or ``private``. Raises ValueError."""
    try:
        return tuple(ip_network(network) for network in WORDS.get(text.lower(), (text,)))
    except ValueError:
        raise ValueError(
            "it must be a network such as 10.0.0.0/8 or 2001:db8::/32, an address, loopback or private"
        ) from None


@attrs.frozen
class Networks:
    """A set of addresses, given as networks."""

    networks: tuple[Network, ...] = ()

    def __contains__(self, address: str) -> bool:
        """Whether an address lies in one of them; what is no address does not."""
        if not self.networks:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(_holds(network, parsed) for network in self.networks)


def _holds(network: Network, address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in network
