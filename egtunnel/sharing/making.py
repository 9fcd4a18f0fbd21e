"""New shares: what is asked for, read strictly, and what is kept of it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from egtunnel.access.passphrases import hash_passphrase
from egtunnel.access.shares import LIMITS, check_note, expiry, make_service, permitted_methods
from egtunnel.access.tokens import new_id
from egtunnel.errors import ConfigurationError
from egtunnel.store.records import ShareRecord

__all__ = ["NEVER", "NewShare", "Wish", "create_share", "digest_of_link", "read_wish"]

NEVER = "never"
USUALLY = "7d"
"""Until a share expires of which nothing else was said."""
LINK = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)
"""What a link holds: 24 random bytes."""
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)


@attrs.frozen
class Wish:
    """What an owner asks for. ``tunnels``: public hosts. ``expires_in``: as ``7d``, or ``never``."""

    tunnels: tuple[str, ...]
    services: tuple[Any, ...] = ()
    permissions: tuple[str, ...] = ("read",)
    expires_in: str = USUALLY
    uses: int | None = None
    passphrase: str = attrs.field(default="", repr=False)
    note: str = ""


@attrs.frozen
class NewShare:
    """A share at the only moment its link is known."""

    record: ShareRecord
    token: str = attrs.field(repr=False)


def read_wish(value: object, tunnels: Sequence[str] = ()) -> Wish:
    """What JSON asks for; ``tunnels``: where it names none. Raises ConfigurationError."""
    if not isinstance(value, Mapping):
        raise ConfigurationError("a share is an object")
    known = [field.name for field in attrs.fields(Wish)]
    if unknown := [str(name)[:40] for name in value if name not in known]:
        raise ConfigurationError(f"a share has no {', '.join(unknown)}; it has {', '.join(known)}")
    given = {name: each for name, each in value.items() if each is not None}
    for name in ("tunnels", "services", "permissions"):
        if not isinstance(given.get(name, []), list):
            raise ConfigurationError(f"{name} of a share is a list")
    for name in ("expires_in", "passphrase", "note"):
        if not isinstance(given.get(name, ""), str):
            raise ConfigurationError(f"{name} of a share is a text")
    if not isinstance(given.get("uses", 1), int) or isinstance(given.get("uses"), bool):
        raise ConfigurationError("uses of a share is a whole number")
    for name in ("tunnels", "permissions"):
        if not all(isinstance(each, str) for each in given.get(name, [])):
            raise ConfigurationError(f"{name} of a share is a list of texts")
    lists = {name: tuple(each) for name, each in given.items() if isinstance(each, list)}
    wish = Wish(**{"tunnels": tuple(tunnels), **given, **lists})
    check_wish(wish)
    return wish


def check_wish(wish: Wish) -> None:
    """Whether a share can be made of it. Raises ConfigurationError."""
    if not 1 <= len(wish.tunnels) <= LIMITS.tunnels:
        raise ConfigurationError(f"a share has 1 to {LIMITS.tunnels} tunnels")
    for tunnel in wish.tunnels:
        if len(tunnel) > 253 or not _HOST.fullmatch(tunnel.lower()):
            raise ConfigurationError(f"{tunnel[:80]!a} is no tunnel's host, such as demo.example.com")
    if len(wish.services) > LIMITS.services:
        raise ConfigurationError(f"a share has up to {LIMITS.services} services")
    for service in wish.services:
        make_service(service, wish.tunnels)
    permitted_methods(wish.permissions)
    if wish.expires_in != NEVER:
        expiry(wish.expires_in)
    check_note(wish.note, wish.uses)
    if len(wish.passphrase) > 256:
        raise ConfigurationError("a passphrase has up to 256 characters")


def create_share(wish: Wish, owner: str, now: float) -> NewShare:
    """A share of what ``check_wish`` let pass, for the owner of this id. Slow if it has a passphrase: for a thread."""
    token = secrets.token_urlsafe(24)
    tunnels = tuple(dict.fromkeys(tunnel.lower() for tunnel in wish.tunnels))
    record = ShareRecord(
        new_id(),
        digest_of_link(token),
        owner,
        tunnels,
        tuple(make_service(service, tunnels).to_json() for service in wish.services),
        tuple(wish.permissions),
        now,
        None if wish.expires_in == NEVER else now + expiry(wish.expires_in),
        wish.uses,
        hash_passphrase(wish.passphrase) if wish.passphrase else "",
        wish.note,
    )
    return NewShare(record, token)


def digest_of_link(token: str) -> bytes:
    """What is kept of a link."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
