"""What an address is counted under, where one visitor may have no more than a share."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

__all__ = ["subscriber"]

NETWORK = 64
"""Bits of an IPv6 address that one subscriber has; the rest is of his choice (RFC 6177)."""


def subscriber(host: str) -> str:
    """The address itself, or its network where it is IPv6."""
    if ":" not in host:
        return host
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(IPv6Address(int(address) >> (128 - NETWORK) << (128 - NETWORK)))
