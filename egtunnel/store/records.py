"""Rows of the store as frozen values, pure: what goes in and comes out. Moments are seconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["NameRecord", "OwnerRecord", "RefusalRecord", "ShareRecord", "TokenRecord", "UsageRecord"]


@attrs.frozen
class OwnerRecord:
    """Who has tokens: a person or a program, by a name the admin gave. ``disabled``: none of its tokens is good."""

    id: str
    name: str
    created: float
    disabled: float | None = None


@attrs.frozen
class TokenRecord:
    """A token without its secret. ``digest``: SHA-256 of the secret. ``scope``: JSON values (access/scope.py).

    ``disabled``: the moment since which the token's owner is disabled; filled by ``find`` alone.
    """

    id: str
    digest: bytes = attrs.field(repr=False)
    owner: str
    name: str
    scope: Mapping[str, Any]
    created: float
    expires: float | None = None
    revoked: float | None = None
    last_used: float | None = None
    disabled: float | None = None


@attrs.frozen
class NameRecord:
    """A reserved place: ``kind`` is ``name``, ``host``, ``tcp`` or ``udp``, ``value`` the name or the port as text.

    ``proven``: how its owner got it: ``claim``, ``dns`` (a TXT record) or ``admin``.
    """

    kind: str
    value: str
    owner: str
    proven: str
    created: float


@attrs.frozen
class ShareRecord:
    """A link that lets in who has it. ``digest``: SHA-256 of its token. ``passphrase``: a salted hash, or empty.

    ``tunnels``: public addresses (host names). ``services``: JSON values, path prefixes or whole tunnels.
    ``permissions``: words and methods (access/shares.py). ``uses_left``: None without a limit.
    """

    id: str
    digest: bytes = attrs.field(repr=False)
    owner: str
    tunnels: tuple[str, ...]
    services: tuple[Mapping[str, Any], ...]
    permissions: tuple[str, ...]
    created: float
    expires: float | None = None
    uses_left: int | None = None
    passphrase: str = attrs.field(default="", repr=False)
    note: str = ""
    revoked: float | None = None
    last_used: float | None = None
    use_count: int = 0


@attrs.frozen
class UsageRecord:
    """What went through the tunnels of one token in one month, ``2026-11`` in UTC; bytes from and to visitors."""

    token: str
    month: str
    requests: int = 0
    received: int = 0
    sent: int = 0


@attrs.frozen
class RefusalRecord:
    """What was refused: ``rule`` names why, ``whom`` an address or a token's id, ``what`` the name or path."""

    at: float
    rule: str
    whom: str
    what: str
    id: int = 0
