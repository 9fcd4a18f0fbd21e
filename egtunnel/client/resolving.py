"""What a host name stands for."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

__all__ = ["addresses_of"]


def addresses_of(reactor: Any, host: str) -> Deferred[list[str]]:
    """Its addresses, the best first; none: it was not found."""
    found: Deferred[list[str]] = Deferred()
    reactor.nameResolver.resolveHostName(_Addresses(found), host)
    return found


@implementer(IResolutionReceiver)
class _Addresses:
    """Collects what a name stands for."""

    def __init__(self, found: Deferred[list[str]]) -> None:
        self._found = found
        self._addresses: dict[str, None] = {}

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """Nothing yet."""

    def addressResolved(self, address: Any) -> None:
        self._addresses[address.host] = None

    def resolutionComplete(self) -> None:
        self._found.callback(list(self._addresses))
