"""Rules about a visitor's address: let in from these networks only, or from all but these."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from zope.interface import implementer

from egtunnel.access.limits import AccessLimits
from egtunnel.access.values import texts
from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor, plain_address

__all__ = ["NOT_FROM_HERE", "NetworkRule", "allow", "deny"]

NOT_FROM_HERE = Denial(403, "address-denied", "This tunnel is not open to your address.")
REMEMBERED = 1_024
WORDS = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}
"""What a word stands for: this machine, and networks of nobody's."""


def allow(value: Any, limits: AccessLimits) -> NetworkRule:
    """The rule ``allow``: a list of networks. Raises AccessError."""
    return NetworkRule(_read("allow", value, limits), inside=True)


def deny(value: Any, limits: AccessLimits) -> NetworkRule:
    """The rule ``deny``: a list of networks. Raises AccessError."""
    return NetworkRule(_read("deny", value, limits), inside=False)


def _read(rule: str, value: Any, limits: AccessLimits) -> list[IPv4Network | IPv6Network]:
    return [network for text in texts(rule, value, limits.networks) for network in _networks(rule, text)]


def _networks(rule: str, text: str) -> list[IPv4Network | IPv6Network]:
    try:
        found = [ip_network(network) for network in WORDS.get(text.lower(), (text,))]
    except ValueError:
        raise AccessError(f"{rule}: {text[:80]!a} is no network such as 10.0.0.0/8, and no address") from None
    for network in found:
        if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
            raise AccessError(f"{rule}: write {text[:80]!a} as a network of IPv4")  # it would hold nobody
    return found


@implementer(IGuard)
class NetworkRule:
    """Lets in who is ``inside`` of the networks, or who is not; what is no address never comes in."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network], *, inside: bool) -> None:
        self._networks = networks
        self._inside = inside
        self._known: dict[str, bool] = {}

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """By the visitor's address alone."""
        return None if self.admits(visitor) else NOT_FROM_HERE

    def admits(self, visitor: Visitor) -> bool:
        """By the visitor's address."""
        host = visitor.host
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[host] = self._look(host)
        return known

    def _look(self, host: str) -> bool:
        try:
            address = ip_address(plain_address(host.partition("%")[0]))
        except ValueError:
            return False
        return any(address in network for network in self._networks) == self._inside
