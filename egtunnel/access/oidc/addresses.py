"""Where the relay may connect to for a claim: addresses of the internet, and those that its owner allows. Pure."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

__all__ = ["reachable"]

_NAT64 = ip_network("64:ff9b::/96")


def reachable(address: str, allowed: Callable[[str], bool], *, public: bool) -> bool:
    """Whether to connect there.

    :param allowed: says which addresses the relay's owner allows, whatever they are.
    :param public: addresses of the internet are good, too.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return allowed(str(parsed)) or (public and all(map(_of_the_internet, _meant(parsed))))


def _of_the_internet(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _meant(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """The address, or that of IPv4 within it, to which somebody on the way would translate it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    within: list[IPv4Address | IPv6Address] = [address]
    if address.sixtofour is not None:
        within.append(address.sixtofour)
    return within
