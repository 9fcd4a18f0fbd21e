"""Where a request goes: one reading of Host that all share, one function from it to a route. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from egtunnel.interfaces import ITunnel, ITunnels

__all__ = ["LONGEST_HOST", "Host", "Route", "find", "parse_host", "route", "split_path"]

LONGEST_HOST = 262
"""Bytes: a domain name of 255 with a dot and a port."""

_HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{0,5}))?")
_SEGMENT = re.compile(rb"/([A-Za-z0-9][A-Za-z0-9-]{0,62})(/[^?]*)?(\?.*)?", re.DOTALL)


class Host(NamedTuple):
    """A Host value (RFC 9110 section 7.2): as sent, and as compared.

    ``name`` is lower case, without port and trailing dot; ``literal`` says that it is an IP address.
    """

    value: bytes
    name: str
    port: int | None
    literal: bool


class Route(NamedTuple):
    """A ``name`` below the relay's domain, a ``custom`` host, or with neither the relay itself."""

    name: str = ""
    custom: str = ""

    @property
    def own(self) -> bool:
        """Whether it is the relay's own host."""
        return not self.name and not self.custom


@lru_cache(maxsize=1024)
def _parse(value: bytes) -> Host | None:
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    bracketed, plain, digits = match.groups()
    port = int(digits) if digits else None
    if port is not None and not 0 < port < 65_536:
        return None
    if bracketed is not None:
        return Host(value, bracketed.decode("ascii").lower(), port, True) if _is_address(bracketed) else None
    name = plain.decode("ascii").lower().removesuffix(".")
    if not name or name.startswith(".") or ".." in name or name.endswith("."):
        return None
    return Host(value, name, port, _is_address(plain))


def _is_address(text: bytes) -> bool:
    try:
        ip_address(text.decode("ascii"))
    except ValueError:
        return False
    return True


def parse_host(value: bytes) -> Host | None:
    """The host that the value of a Host header names; None if it is not well-formed."""
    return _parse(value) if len(value) <= LONGEST_HOST else None


@lru_cache(maxsize=1024)
def route(host: Host, domain: str) -> Route:
    """What ``host`` stands for at a relay whose own host is ``domain`` (lower case, no trailing dot)."""
    if host.literal or host.name == domain:
        return Route()
    if host.name.endswith("." + domain):
        return Route(name=host.name[: -len(domain) - 1])
    return Route(custom=host.name)


def find(tunnels: ITunnels, host: Host, where: Route) -> ITunnel | None:
    """The tunnel of a route that is not the relay's own; a custom host may lie below the relay's domain too."""
    if where.name:
        found = tunnels.by_name(where.name)
        if found is not None:
            return found
    return tunnels.by_host(host.name)


def split_path(target: bytes) -> tuple[str, bytes | None, bytes] | None:
    """Path routing: the name that a target starts with, the path behind it (None: not even a slash) and the query.

    None if the target starts with no name.
    """
    match = _SEGMENT.fullmatch(target)
    if match is None:
        return None
    name, rest, query = match.groups()
    return name.decode("ascii").lower(), rest, query or b""
