"""What happens to each header on its way through: passed, dropped, or read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "CODING",
    "CONNECTION",
    "COOKIE",
    "DROP",
    "EXPECT",
    "HOST",
    "KEEP_ALIVE",
    "LENGTH",
    "PASS",
    "TE",
    "UPGRADE",
    "Fields",
    "Forwarding",
    "fence_cookie",
    "forwarded",
    "list_members",
    "loops",
    "request_kind",
    "response_kind",
    "trailers_to_pass",
    "without",
]

Fields = list[tuple[bytes, bytes]]
"""Headers or trailers in the order in which they came: names as written, values as bytes."""

PASS, DROP, HOST, LENGTH, CODING, CONNECTION, UPGRADE, TE, EXPECT, KEEP_ALIVE, COOKIE = range(11)
"""What is done with a header. The hop-by-hop ones (RFC 9110 section 7.6.1) are dropped or read, never passed."""

_FRAMING = {
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"keep-alive": KEEP_ALIVE,
    b"proxy-authenticate": DROP,
    b"proxy-authentication-info": DROP,
    b"proxy-connection": DROP,
    b"te": TE,
    b"transfer-encoding": CODING,
    b"upgrade": UPGRADE,
}
_REQUEST = {
    **_FRAMING,
    b"expect": EXPECT,
    b"forwarded": DROP,  # the relay's own word alone is believed behind it, so no visitor says it
    b"host": HOST,
    b"http2-settings": DROP,
    b"keep-alive": DROP,
    b"proxy": DROP,
    b"x-real-ip": DROP,
}
_REQUEST_PREFIXES = (b"x-forwarded", b"proxy-", b"x-egtunnel-")
_RESPONSE = {**_FRAMING, b"http2-settings": DROP, b"set-cookie": COOKIE, b"te": DROP}
_RESPONSE_PREFIX = b"x-egtunnel-"
"""What the relay says of itself; no service says it for the relay."""

_NOT_IN_TRAILERS = frozenset(
    b"age allow authorization cache-control content-encoding content-length content-range content-type cookie date "
    b"expect expires host if-match if-modified-since if-none-match if-range if-unmodified-since location max-forwards "
    b"origin pragma range referer retry-after set-cookie te trailer vary via warning www-authenticate "
    b"x-real-ip".split()
)
"""Framing, routing, authentication and the like have no place in trailers (RFC 9110 section 6.5.1)."""

PSEUDONYM = b"egtunnel"
"""What a relay calls itself in Via."""
MOST_PASSES = 10
"""How many relays a request may have been through."""

_PLAIN_HOST = re.compile(rb"[a-z0-9._-]*")
_CACHED = 64  # bytes; longer ones are rare, and a cache of short ones stays small


def _kind_of_request(name: bytes) -> int:
    lower = name.lower()
    if b"_" in lower:  # many servers read X_Forwarded_For as X-Forwarded-For
        plain = lower.replace(b"_", b"-")
        return DROP if plain in _REQUEST or plain.startswith(_REQUEST_PREFIXES) else PASS
    if lower.startswith(_REQUEST_PREFIXES):
        return DROP
    return _REQUEST.get(lower, PASS)


def _kind_of_response(name: bytes) -> int:
    lower = name.lower()
    return DROP if lower.startswith(_RESPONSE_PREFIX) else _RESPONSE.get(lower, PASS)


_cached_request_kind = lru_cache(maxsize=1024)(_kind_of_request)
_cached_response_kind = lru_cache(maxsize=1024)(_kind_of_response)


def request_kind(name: bytes) -> int:
    """What is done with a header of a request."""
    return _cached_request_kind(name) if len(name) < _CACHED else _kind_of_request(name)


def response_kind(name: bytes) -> int:
    """What is done with a header of a response."""
    return _cached_response_kind(name) if len(name) < _CACHED else _kind_of_response(name)


def _members(value: bytes) -> tuple[bytes, ...]:
    return tuple(member for part in value.lower().split(b",") if (member := part.strip(b" \t")))


_cached_members = lru_cache(maxsize=256)(_members)


def list_members(value: bytes) -> tuple[bytes, ...]:
    """The members of a comma-separated header, in lower case."""
    return _cached_members(value) if len(value) < _CACHED else _members(value)


def without(fields: Fields, names: Iterable[bytes]) -> Fields:
    """The fields that are not among ``names`` (lower case)."""
    unwanted = frozenset(names)
    return [field for field in fields if field[0].lower() not in unwanted]


def trailers_to_pass(fields: Fields) -> Fields:
    """The trailers that may go on."""
    return [
        field
        for field in fields
        if request_kind(field[0]) == PASS and field[0].lower().replace(b"_", b"-") not in _NOT_IN_TRAILERS
    ]


class Forwarding(NamedTuple):
    """What tells an upstream who asked: as lines of HTTP/1, and as fields of HTTP/2; and what the visitor speaks."""

    lines: bytes
    fields: Fields
    scheme: str = ""


def forwarded(address: str, scheme: str, host: bytes, version: bytes = b"1.1") -> Forwarding:
    """The headers that tell an upstream who asked, how, and for which host (RFC 7239 and its forerunners), and Via.

    :param address: the visitor's, empty if it has none.
    :param version: of the HTTP that the visitor speaks: ``1.0``, ``1.1`` or ``2.0``.
    """
    ip = address.partition("%")[0].encode("ascii", "replace")
    node = b'"[%b]"' % ip if b":" in ip else ip or b"unknown"
    proto = scheme.encode("ascii")
    told = [(b"X-Forwarded-For", ip)] if ip else []
    told += [
        (b"X-Forwarded-Proto", proto),
        (b"X-Forwarded-Host", host),
        (b"Forwarded", b'for=%b;host="%b";proto=%b' % (node, host, proto)),
        (b"Via", b"%b %b" % (version, PSEUDONYM)),
    ]
    lines = b"".join([b"%b: %b\r\n" % field for field in told])
    return Forwarding(lines, [(name.lower(), value) for name, value in told], scheme)


def loops(fields: Fields, most: int = MOST_PASSES) -> bool:
    """Whether a request has been through relays like this one ``most`` times already: a tunnel leads back to itself.

    Each of them adds itself to Via (RFC 9110 section 7.6.3), which nobody on the way but a visitor could take off.
    """
    passes = 0
    for name, value in fields:
        if len(name) == 3 and name.lower() == b"via":
            passes += sum(member.split()[1:2] == [PSEUDONYM] for member in value.lower().split(b","))
    return passes >= most


def fence_cookie(value: bytes, domain: str) -> bytes:
    """A Set-Cookie value without a Domain that would give the cookie to all tunnels of the relay's domain.

    Nor with one that is no plain host name, as browsers may read it as another: they fold and unescape what they find.
    """
    if b"domain" not in value.lower():
        return value
    parts = value.split(b";")
    return b";".join(parts[:1] + [part for part in parts[1:] if not _too_wide(part, domain)])


def _too_wide(attribute: bytes, domain: str) -> bool:
    name, _, text = attribute.partition(b"=")
    if name.strip(b" \t").lower() != b"domain":
        return False
    wanted = text.strip(b' \t"').lower().strip(b".")
    if _PLAIN_HOST.fullmatch(wanted) is None:
        return True
    host = wanted.decode("ascii")
    return bool(host) and (host == domain or domain.endswith("." + host))
