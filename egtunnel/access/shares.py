"""Shares: what a link lets its holder do. Pure; every moment is an argument, in seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from egtunnel.access.paths import inside, is_prefix, plain
from egtunnel.errors import ConfigurationError
from egtunnel.store.records import ShareRecord

__all__ = ["READ", "Service", "Share", "ShareLimits", "Verdict", "expiry", "make_service", "permitted_methods"]

READ = frozenset({"GET", "HEAD", "OPTIONS"})
WORDS = frozenset({"read", "write"})
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}", re.ASCII)
_NOT_A_REQUEST = frozenset({"CONNECT", "TRACE"})
_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
Verdict = Literal[200, 403, 404, 410]


@attrs.frozen
class ShareLimits:
    """``services``, ``tunnels``, ``methods``: of one share. ``note``: characters of it. ``longest``: seconds until one
    expires. ``uses``: the most that can be counted down. ``name``: characters of a service's name, ``prefix``: of its
    path."""

    services: int = 32
    tunnels: int = 32
    methods: int = 16
    note: int = 500
    longest: int = 157_680_000
    uses: int = 1_000_000_000
    name: int = 64
    prefix: int = 256


LIMITS = ShareLimits()


@attrs.frozen
class Service:
    """A part of what is shared: what lies below ``prefix`` on the host ``tunnel``; ``/`` is the whole tunnel."""

    name: str
    tunnel: str
    prefix: str = "/"

    def to_json(self) -> dict[str, str]:
        """As the store keeps it."""
        return {"name": self.name, "tunnel": self.tunnel, "prefix": self.prefix}


@attrs.frozen
class Share:
    """What a request is judged by. ``permissions``: None for every method, else the methods.

    ``hosts``: the tunnels, in lower case; a request for another one is no matter of this share.
    """

    id: str
    hosts: frozenset[str]
    services: tuple[Service, ...]
    permissions: frozenset[str] | None
    expires: float | None = None
    revoked: float | None = None
    uses_left: int | None = None

    @classmethod
    def from_record(cls, record: ShareRecord) -> Share:
        """Of a row. Raises ConfigurationError if it says what no share can say."""
        if not 1 <= len(record.tunnels) <= LIMITS.tunnels or len(record.services) > LIMITS.services:
            raise ConfigurationError(f"a share has 1 to {LIMITS.tunnels} tunnels and up to {LIMITS.services} services")
        services = tuple(make_service(service, record.tunnels) for service in record.services)
        return cls(
            record.id,
            frozenset(tunnel.lower() for tunnel in record.tunnels),
            services or tuple(Service(tunnel, tunnel.lower()) for tunnel in record.tunnels),
            permitted_methods(record.permissions),
            record.expires,
            record.revoked,
            record.uses_left,
        )

    def ended(self, now: float) -> bool:
        """Whether it is revoked or expired."""
        return self.revoked is not None or (self.expires is not None and self.expires <= now)

    def used_up(self) -> bool:
        """Whether nobody new may come in. Who is in, by cookie, stays until the share ends."""
        return self.uses_left is not None and self.uses_left <= 0

    def judge(self, method: str, path: str, now: float, host: str = "", *, entering: bool = False) -> Verdict:
        """What becomes of a request: 200 it passes; 410 the share is over; 404 no service of it; 403 not this method.

        :param path: the request target as it came, with its query.
        :param host: the tunnel's host; may be left out where the share has one tunnel only.
        :param entering: the visitor shows the link, and takes one of its uses.
        """
        if self.ended(now) or (entering and self.used_up()):
            return 410
        if not self._serves(host.lower(), path):
            return 404  # asked first: a method says nothing about paths that are not there for this visitor
        if self.permissions is not None and method not in self.permissions:
            return 403
        return 200

    def _serves(self, host: str, path: str) -> bool:
        if not host and len(self.hosts) == 1:
            (host,) = self.hosts
        here = [service.prefix for service in self.services if service.tunnel == host] if host in self.hosts else []
        if "/" in here:
            return path.startswith("/")  # the whole tunnel: there is no outside, however its service reads a path
        decoded = plain(path)
        return decoded is not None and any(inside(decoded, prefix) for prefix in here)


def make_service(value: object, tunnels: Iterable[str]) -> Service:
    """A service from JSON: ``{"name", "tunnel", "prefix"}``, or a path prefix or a tunnel's host as text.

    Raises ConfigurationError for anything else.
    """
    hosts = [tunnel.lower() for tunnel in tunnels]
    if isinstance(value, str):
        value = _spelled_out(value, hosts)
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise ConfigurationError("a service is an object with name, tunnel and prefix")
    if unknown := [str(name)[:40] for name in value if name not in ("name", "tunnel", "prefix")]:
        raise ConfigurationError(f"a service has no {', '.join(unknown)}")
    tunnel = value.get("tunnel", hosts[0] if len(hosts) == 1 else "").lower()
    prefix = value.get("prefix", "/").rstrip("/") or "/"
    name = value.get("name", "") or prefix.strip("/") or tunnel
    if tunnel not in hosts:
        raise ConfigurationError(f"the service {name[:40]!a} is of no tunnel of this share")
    if len(prefix) > LIMITS.prefix or not is_prefix(prefix):
        raise ConfigurationError(f"the service {name[:40]!a} has no usable path prefix, such as /mail")
    return Service(name[: LIMITS.name], tunnel, prefix)


def _spelled_out(text: str, hosts: list[str]) -> dict[str, str]:
    """``/mail`` is a path; ``app.example.com`` and ``app`` are tunnels, where there are such; ``mail`` is ``/mail``."""
    if text.startswith("/"):
        return {"name": text.strip("/"), "prefix": text}
    named = [host for host in hosts if host.partition(".")[0] == text.lower()]
    if text.lower() in hosts or "." in text:
        return {"tunnel": text}
    return {"tunnel": named[0]} if len(named) == 1 else {"name": text, "prefix": f"/{text}"}


def permitted_methods(permissions: Iterable[str]) -> frozenset[str] | None:
    """The methods that words and methods stand for; None: all, as ``write`` means. Raises ConfigurationError."""
    given = list(permissions)
    if not given or len(given) > LIMITS.methods:
        raise ConfigurationError(f"a share has 1 to {LIMITS.methods} permissions: read, write, or methods")
    for word in given:
        if word not in WORDS and (not _METHOD.fullmatch(word) or word in _NOT_A_REQUEST):
            raise ConfigurationError(f"{word[:40]!a} is no permission: read, write, or a method such as POST")
    if "write" in given:
        return None
    return frozenset(given) - WORDS | (READ if "read" in given else frozenset())


def expiry(text: str) -> float:
    """Seconds of a duration such as ``30m``, ``12h``, ``7d`` or ``2w``. Raises ConfigurationError."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([mhdw])", text, re.ASCII)
    seconds = 0.0 if found is None else float(int(found[1]) * _UNITS[found[2]])
    if not 0 < seconds <= LIMITS.longest:
        raise ConfigurationError(f"{text[:40]!a} is no time until a share expires, such as 30m, 12h, 7d or 2w")
    return seconds


def check_note(note: str, uses: int | None) -> None:
    """Whether note and number of uses can be kept. Raises ConfigurationError."""
    if len(note) > LIMITS.note or "\0" in note:
        raise ConfigurationError(f"a note has up to {LIMITS.note} characters")
    if uses is not None and not 1 <= uses <= LIMITS.uses:
        raise ConfigurationError(f"a share has 1 to {LIMITS.uses} uses")


def to_json(share: Share) -> dict[str, Any]:
    """What may be shown of a share."""
    methods = None if share.permissions is None else sorted(share.permissions)
    return {"id": share.id, "services": [service.to_json() for service in share.services], "methods": methods}
