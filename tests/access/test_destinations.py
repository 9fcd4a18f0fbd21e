"""Where the relay may connect to for a rule."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address

from egtunnel.access.destinations import EVERYWHERE, Resolving, allowed


@pytest.mark.parametrize("host", ["192.88.98.1", "8.8.8.8", "2606:4700::1111"])
def test_public_addresses_are_allowed(host: str) -> None:
    """Of one machine each."""
    assert allowed(host, ())


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "239.1.1.1"),
        *("::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "ff02::1", "::"),
        *("2002:7f00:1::", "2002:a00:1::1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2001:0:a00:1::", "no address"),
    ],
)
def test_what_leads_into_our_own_network_is_not(host: str) -> None:
    """Also by a gateway, and as IPv6; unless the relay's owner has named the network."""
    assert not allowed(host, ())
    if host != "no address":
        assert allowed(host, EVERYWHERE)


def test_a_network_that_was_named_is_allowed() -> None:
    """And no other one."""
    named = [ip_network("10.0.0.0/8")]
    assert allowed("10.1.2.3", named) and not allowed("192.168.1.1", named)


class Reactor:
    """Resolves every name to the same addresses."""

    def __init__(self, *hosts: str) -> None:
        self.nameResolver = self
        self.hosts = hosts
        self.other = object()

    def resolveHostName(self, receiver: Any, name: str, *more: Any) -> str:
        receiver.resolutionBegan("resolution")
        for host in self.hosts:
            kind: Any = IPv6Address if ":" in host else IPv4Address
            receiver.addressResolved(kind("TCP", host, 443))
        receiver.resolutionComplete()
        return name


class Receiver:
    """What was resolved."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.complete = False

    def resolutionBegan(self, resolution: Any) -> None:
        assert resolution == "resolution"

    def addressResolved(self, address: Any) -> None:
        self.hosts.append(address.host)

    def resolutionComplete(self) -> None:
        self.complete = True


def test_a_name_leads_to_allowed_addresses_alone() -> None:
    """The others are not connected to, in whichever order they come."""
    reactor = Reactor("127.0.0.1", "8.8.8.8", "::1", "2606:4700::1111")
    resolving, receiver = Resolving(reactor, ()), Receiver()
    found: Any = receiver
    assert resolving.nameResolver.resolveHostName(found, "a.example") == "a.example"  # type: ignore[comparison-overlap]
    assert receiver.hosts == ["8.8.8.8", "2606:4700::1111"] and receiver.complete
    assert resolving.other is reactor.other
    with pytest.raises(NotImplementedError):
        resolving.installNameResolver(found)
