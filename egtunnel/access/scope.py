"""What a token may do, as a value. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import attrs

from egtunnel.errors import ConfigurationError, Refused
from egtunnel.limits.terms import bandwidth_of, rate_of

__all__ = ["KINDS", "LIMITS_OF_TOKEN", "RULES", "PortRange", "Scope", "ScopeLimits"]

KINDS = frozenset({"http", "tcp", "tls", "udp"})
RULES = ("kinds", "names", "hosts", "tcp-ports", "udp-ports", "tunnels", "private", "sharing", "visits")
"""Every rule that can refuse a claim, in the order in which they are asked; the reason is ``scope-<rule>``."""
_PATTERN = re.compile(r"[a-z0-9*.-]+", re.ASCII)


@attrs.frozen
class ScopeLimits:
    """``entries``: patterns or ranges in one list. ``length``: characters of a pattern. ``access``: of all rules."""

    entries: int = 100
    length: int = 253
    access: int = 16_384


LIMITS = ScopeLimits()


@attrs.frozen
class PortRange:
    """Ports ``first`` to ``last``, both included; written ``20000-20099`` or ``2222``."""

    first: int
    last: int

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @classmethod
    def parse(cls, text: str) -> PortRange:
        """Raises ConfigurationError."""
        found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text, re.ASCII)
        if found is not None:
            ports = cls(int(found[1]), int(found[2] or found[1]))
            if 1 <= ports.first <= ports.last <= 65_535:
                return ports
        raise ConfigurationError(f"{text[:40]!a} is no range of ports, such as 20000-20099")


@attrs.frozen
class Scope:
    """What a token may do. None: any, or as much as the relay gives; an empty tuple: none.

    ``names``: patterns of public names, ``*`` for any characters; ``hosts``: the same of custom hosts. ``tunnels``: of
    all clients with this token together. ``private``: may have tunnels that not everybody may visit. ``sharing``: may
    serve a name together with other clients. ``visits``: patterns of the private tunnels that it may visit, whoever
    has them; None: those of its own owner. ``limits``: of all its tunnels together (``LIMITS_OF_TOKEN``).
    ``access``: rules for the visitors of all its tunnels, in place of what its clients say of the same rules.
    """

    kinds: frozenset[str] | None = None
    names: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    tcp_ports: tuple[PortRange, ...] | None = None
    udp_ports: tuple[PortRange, ...] | None = None
    tunnels: int | None = None
    private: bool = True
    sharing: bool = True
    visits: tuple[str, ...] | None = None
    limits: Mapping[str, Any] = attrs.field(factory=dict)
    access: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def check_claim(
        self,
        kind: str,
        *,
        name: str = "",
        host: str = "",
        port: int = 0,
        held: int = 0,
        private: bool = False,
        sharing: bool = False,
    ) -> None:
        """Whether a tunnel may be had. Raises Refused with the reason ``scope-<rule>`` and a text that names the rule.

        :param name: the public name asked for; empty if the relay is to choose (ask again with what it chose).
        :param port: the same for a TCP or UDP port; 0 if the relay is to choose.
        :param held: tunnels that clients with this token have already, this one not counted.
        """
        if self.kinds is not None and kind not in self.kinds:
            raise _refused("kinds", f"may have tunnels of kind {_listed(self.kinds)} only, not {kind[:16]!a}")
        if kind in ("http", "tls"):
            self._check_place(name, host)
        if kind == "tcp":
            _check_port("tcp-ports", self.tcp_ports, port)
        if kind == "udp":
            _check_port("udp-ports", self.udp_ports, port)
        if self.tunnels is not None and held >= self.tunnels:
            raise _refused("tunnels", f"may have {self.tunnels} tunnels at once, and has {held}")
        if private and not self.private:
            raise _refused("private", "may have no private tunnels")
        if sharing and not self.sharing:
            raise _refused("sharing", "may not serve a name together with others")

    def check_visit(self, name: str) -> bool:
        """Whether the private tunnel of this name is named here; False: nothing is said. Raises Refused."""
        if self.visits is None:
            return False
        if not _matches(name, self.visits):
            raise _refused("visits", f"may visit {_listed(self.visits, 'no private tunnels')} only, not {name[:80]!a}")
        return True

    def _check_place(self, name: str, host: str) -> None:
        if host:
            if self.hosts is not None and not _matches(host, self.hosts):
                raise _refused("hosts", f"may have {_listed(self.hosts, 'no custom hosts')} only, not {host[:80]!a}")
        elif self.names is not None and not _matches(name, self.names):
            asked = f"not {name[:80]!a}" if name else "so a name has to be asked for"
            raise _refused("names", f"may have the names {_listed(self.names, 'none at all')} only, {asked}")

    # -- as JSON

    def to_json(self) -> dict[str, Any]:
        """What differs from a scope without any rule."""
        plain = Scope()
        fields = {name: getattr(self, name) for name in _READERS}
        return {name: _written(value) for name, value in fields.items() if value != getattr(plain, name)}

    @classmethod
    def from_json(cls, value: object) -> Scope:
        """What ``to_json`` gave, or a person wrote. Raises ConfigurationError for anything it does not know."""
        if not isinstance(value, Mapping):
            raise ConfigurationError("a scope is an object")
        if unknown := [str(name)[:40] for name in value if name not in _READERS]:
            raise ConfigurationError(f"a scope has no {_listed(unknown)}; it has {_listed(_READERS)}")
        return cls(**{name: _READERS[name](name, given) for name, given in value.items()})


def _refused(rule: str, text: str) -> Refused:
    return Refused(f"scope-{rule}", f"this token {text} (rule {rule!r} of its scope)")


def _listed(words: Iterable[object], empty: str = "none") -> str:
    shown = [str(word) for word in words]
    return ", ".join(sorted(shown)[:10]) + (", ..." if len(shown) > 10 else "") if shown else empty


def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    folded = value.lower().rstrip(".")
    return bool(folded) and any(fnmatchcase(folded, pattern) for pattern in patterns)


def _check_port(rule: str, ranges: tuple[PortRange, ...] | None, port: int) -> None:
    if ranges is None:
        return
    if not ranges or (port and not any(port in allowed for allowed in ranges)):
        raise _refused(rule, f"may have the ports {_listed(ranges)} only" + (f", not {port}" if port else ""))


def _written(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [str(entry) for entry in value]
    return value


# -- strict reading: each takes the field's name, for the error, and the value


def _texts(name: str, value: object) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise ConfigurationError(f"{name!r} of a scope is a list of texts")
    if len(value) > LIMITS.entries:
        raise ConfigurationError(f"{name!r} of a scope has more than {LIMITS.entries} entries")
    return list(value)


def _kinds(name: str, value: object) -> frozenset[str]:
    kinds = frozenset(_texts(name, value))
    if unknown := kinds - KINDS:
        raise ConfigurationError(f"there are no tunnels of kind {_listed(entry[:16] for entry in unknown)}")
    return kinds


def _patterns(name: str, value: object) -> tuple[str, ...]:
    patterns = tuple(entry.lower() for entry in _texts(name, value))
    for pattern in patterns:
        if len(pattern) > LIMITS.length or not _PATTERN.fullmatch(pattern):
            raise ConfigurationError(f"{pattern[:80]!a} in {name!r} of a scope is no pattern, such as demo-*")
    return patterns


def _ranges(name: str, value: object) -> tuple[PortRange, ...]:
    return tuple(PortRange.parse(entry) for entry in _texts(name, value))


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ConfigurationError(f"{name!r} of a scope is a whole number, 0 or more")
    return value


def _yes_or_no(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name!r} of a scope is true or false")
    return value


def _limits(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name!r} of a scope is an object")
    for limit, given in value.items():
        read = LIMITS_OF_TOKEN.get(limit)
        if read is None:
            raise ConfigurationError(f"there is no limit {str(limit)[:40]!a}; there are {_listed(LIMITS_OF_TOKEN)}")
        try:
            read(given)
        except (ValueError, TypeError):
            raise ConfigurationError(f"the limit {limit} of a scope is written like {_EXAMPLES[limit]}") from None
    return dict(value)


def _rules(name: str, value: object) -> dict[str, Any]:
    """Whether this relay knows them is seen at the first claim."""
    if not isinstance(value, Mapping) or not all(isinstance(rule, str) for rule in value):
        raise ConfigurationError(f"{name!r} of a scope is an object of rules for visitors")
    if len(json.dumps(dict(value))) > LIMITS.access:
        raise ConfigurationError(f"{name!r} of a scope is more than {LIMITS.access} characters of JSON")
    return dict(value)


def _at_least_one(value: object) -> int:
    if type(value) is not int or not 1 <= value < 2**53:
        raise ValueError
    return value


LIMITS_OF_TOKEN: dict[str, Callable[[Any], Any]] = {
    "rate": rate_of,
    "connections": _at_least_one,
    "bandwidth-in": bandwidth_of,
    "bandwidth-out": bandwidth_of,
    "quota": bandwidth_of,
}
"""Limits by name, and how their values are read: requests, connections to services at once, bytes a second, bytes a
month."""
_EXAMPLES = {"rate": "100/s", "connections": "50", "bandwidth-in": "1M", "bandwidth-out": "1M", "quota": "10G"}
_READERS: dict[str, Callable[[str, object], Any]] = {
    "kinds": _kinds,
    "names": _patterns,
    "hosts": _patterns,
    "tcp_ports": _ranges,
    "udp_ports": _ranges,
    "tunnels": _whole,
    "private": _yes_or_no,
    "sharing": _yes_or_no,
    "visits": _patterns,
    "limits": _limits,
    "access": _rules,
}
