"""Where the relay may connect to for a rule: judged for each address of a name, before anything is connected."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from zope.interface import implementer

from egtunnel.interfaces import plain_address

__all__ = ["EVERYWHERE", "Networks", "Resolving", "allowed"]

Networks = Sequence[IPv4Network | IPv6Network]
EVERYWHERE: Networks = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_GATEWAYS = [ip_network(text) for text in ("2002::/16", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32")]
"""6to4, NAT64 and Teredo: a public address that leads to whichever IPv4 address is written in it."""


def allowed(host: str, networks: Networks) -> bool:
    """Whether it is a public address of one machine, or in one of the networks that the relay's owner named."""
    try:
        address: IPv4Address | IPv6Address = ip_address(plain_address(host.partition("%")[0]))
    except ValueError:
        return False
    if any(address in network for network in networks):
        return True
    return address.is_global and not address.is_multicast and not any(address in network for network in _GATEWAYS)


@implementer(IReactorPluggableNameResolver, IHostnameResolver)
class Resolving:
    """The reactor, for one who resolves names: addresses that are not allowed are not found."""

    def __init__(self, reactor: Any, networks: Networks) -> None:
        self._reactor = reactor
        self._networks = networks

    @property
    def nameResolver(self) -> IHostnameResolver:
        """This one."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Nobody changes the reactor through us."""
        raise NotImplementedError

    def resolveHostName(self, resolutionReceiver: IResolutionReceiver, *args: Any, **more: Any) -> IHostResolution:
        """As the reactor does it, without what is not allowed."""
        receiver = _Filter(resolutionReceiver, self._networks)
        found: IHostResolution = self._reactor.nameResolver.resolveHostName(receiver, *args, **more)
        return found


@implementer(IResolutionReceiver)
class _Filter:
    def __init__(self, receiver: IResolutionReceiver, networks: Networks) -> None:
        self._receiver = receiver
        self._networks = networks

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: Any) -> None:
        if allowed(str(address.host), self._networks):
            self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()
