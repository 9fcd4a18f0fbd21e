"""Who is at the other end of a visitor's connection, as far as the connection itself tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from egtunnel.interfaces import plain_address

__all__ = ["Peer", "peer_of"]


def _yes(host: str) -> bool:
    return True


def _no(address: str) -> bool:
    return False


@attrs.frozen
class Peer:
    """The facts of one connection, made by the front door before a byte of HTTP is read.

    ``host`` and ``port``: the visitor's, as the socket or a PROXY header of a trusted balancer says. ``scheme``: what
    the visitor speaks, ``http`` or ``https``; ``tls``: TLS ends at this relay, with ``tls_name`` as its SNI (lower
    case, empty: none). ``trusted``: what its X-Forwarded-* and Forwarded headers say is believed, ``trusts`` says the
    same of any other address. ``certified``: it showed a client certificate of the relay's own authority.
    ``certified_by``: the authorities (PEM) of which it had to show one as a visitor.
    ``covers``: whether the connection's certificate is good for a host; a request for another one is misdirected.
    """

    host: str = ""
    port: int = 0
    scheme: str = "http"
    tls: bool = False
    tls_name: str = ""
    trusted: bool = False
    certified: bool = False
    certified_by: str = attrs.field(default="", repr=False)
    trusts: Callable[[str], bool] = attrs.field(default=_no, repr=False)
    covers: Callable[[str], bool] = attrs.field(default=_yes, repr=False)


def peer_of(address: Any, scheme: str = "http") -> Peer:
    """The peer of a plain connection from this address of Twisted's; one without host and port has none."""
    host = plain_address(str(getattr(address, "host", "")))
    return Peer(host, int(getattr(address, "port", 0) or 0), scheme)
