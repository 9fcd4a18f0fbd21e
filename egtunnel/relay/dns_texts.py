"""TXT records, asked of the machine's own name servers or of one that is named."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.names import client, dns

__all__ = ["texts_of"]

TIMEOUTS = (1, 3)
"""Seconds that each try has."""


def texts_of(reactor: Any, server: tuple[str, int] | None) -> Any:
    """A function that looks up the texts of a name; each record's strings are joined (RFC 7208 section 3.3)."""
    resolver = client.Resolver(
        resolv="/etc/resolv.conf" if server is None else None, servers=[server] if server else None, reactor=reactor
    )

    def look(name: str) -> Deferred[list[str]]:
        found: Deferred[Any] = resolver.lookupText(name, timeout=TIMEOUTS)
        return found.addCallback(_texts)

    return look


def _texts(found: tuple[list[Any], list[Any], list[Any]]) -> list[str]:
    answers = [answer.payload for answer in found[0] if answer.type == dns.TXT]
    return [b"".join(payload.data).decode("ascii", "replace") for payload in answers]
