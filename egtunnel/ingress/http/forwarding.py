"""What trusted proxies in front say of a visitor: X-Forwarded-* and Forwarded (RFC 7239), read backwards. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

from egtunnel.ingress.http.headers import PSEUDONYM, Fields, Forwarding
from egtunnel.ingress.http.routes import parse_host
from egtunnel.interfaces import plain_address

__all__ = ["Told", "chained", "evidence", "read_told"]

_NAMES = frozenset([b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"])
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[^"\\]|\\.)*"'
_PAIR = rb"(" + _TOKEN + rb")=(" + _TOKEN + rb"|" + _QUOTED + rb")"
_PAIRS = re.compile(_PAIR, re.DOTALL)
_SAID = rb"(?:" + _PAIR + rb"[ \t]*)?"
_ELEMENT = re.compile(_SAID + rb"(?:;[ \t]*" + _SAID + rb")*", re.DOTALL)
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]{2,45})")
_SCHEMES = {b"http": "http", b"https": "https"}
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)

Trusts = Callable[[str], bool]
_Lists = dict[bytes, list[bytes]]


class Told(NamedTuple):
    """What is believed of one request.

    ``host`` is the visitor's address, ``port`` its port (0: not told). ``scheme`` and ``named`` (the Host that the
    visitor asked for) are empty where nobody said them. ``chain``: the addresses from the visitor to the last proxy
    before the one that is connected; empty if no address was told.
    """

    host: str
    port: int = 0
    scheme: str = ""
    named: bytes = b""
    chain: tuple[str, ...] = ()


class _Hop(NamedTuple):
    """What one proxy says of who asked it."""

    node: bytes = b""
    scheme: bytes = b""
    named: bytes = b""


def evidence(fields: Fields) -> Fields:
    """The headers that tell of a visitor, names in lower case; none with an underscore for a hyphen."""
    found: Fields = []
    for name, value in fields:
        lower = name.lower()
        if lower in _NAMES:
            found.append((lower, value))
    return found


def read_told(found: Fields, host: str, port: int, trusts: Trusts, hops: int) -> Told:
    """What a trusted connection from this address says with the headers ``found`` by ``evidence``.

    The proxies in a row each append who asked them; only what a trusted one says counts. So the visitor is the
    right-most address that is not itself trusted, or, where something else than an address comes first, or more than
    ``hops``, the last address before it. X-Forwarded-* goes before Forwarded, and the two are never mixed.
    """
    lists: _Lists = {}
    for name, value in found:
        lists.setdefault(name, []).append(value)
    chain: list[str] = []
    scheme = named = b""
    for hop in _forerunners(lists, hops) if len(lists) > (b"forwarded" in lists) else _standard(lists, hops):
        scheme, named = hop.scheme or scheme, hop.named or named
        address = _address(hop.node)
        if address is None:
            break
        host, port = address
        chain.insert(0, host)
        if not trusts(host):
            break
    believed = named if parse_host(named) is not None else b""
    return Told(host, port, _SCHEMES.get(scheme.lower(), ""), believed, tuple(chain))


def chained(told: Told, peer: str, scheme: str, host: bytes, version: bytes) -> Forwarding:
    """The headers that tell an upstream who asked: the visitor first, the trusted connection's other end last.

    :param scheme: the connection's own, and ``host`` what came in the request; they hold where nothing else is told.
    :param version: of HTTP, for Via.
    """
    addresses = [address.encode("ascii", "replace") for address in (*told.chain, peer.partition("%")[0])]
    proto, named = (told.scheme or scheme).encode("ascii"), told.named or host
    first, *others = [b'for="[%b]"' % address if b":" in address else b"for=%b" % address for address in addresses]
    fields = [
        (b"X-Forwarded-For", b", ".join(addresses)),
        (b"X-Forwarded-Proto", proto),
        (b"X-Forwarded-Host", named),
        (b"Forwarded", b", ".join([b'%b;host="%b";proto=%b' % (first, named, proto), *others])),
        (b"Via", b"%b %b" % (version, PSEUDONYM)),
    ]
    lines = b"".join([b"%b: %b\r\n" % field for field in fields])
    return Forwarding(lines, [(name.lower(), value) for name, value in fields], told.scheme or scheme)


def _members(values: list[bytes], most: int) -> list[bytes]:
    """The last members of a list in several lines, the right-most first; no more than ``most`` are looked at."""
    members: list[bytes] = []
    for value in reversed(values):
        parts = value.rsplit(b",", most)
        members += [part.strip(b" \t") for part in reversed(parts[len(parts) > most :])]
        if len(members) >= most:
            break
    return [member for member in members[:most] if member]


def _forerunners(lists: _Lists, most: int) -> list[_Hop]:
    """X-Forwarded-*: three lists side by side; one that is shorter says the same of all that is left of it."""
    nodes = _members(lists.get(b"x-forwarded-for", []), most)
    schemes = _members(lists.get(b"x-forwarded-proto", []), most)
    names = _members(lists.get(b"x-forwarded-host", []), most)
    return [_Hop(_at(nodes, index), _at(schemes, index), _at(names, index)) for index in range(max(len(nodes), 1))]


def _at(members: list[bytes], index: int) -> bytes:
    return members[index] if index < len(members) else b""


def _standard(lists: _Lists, most: int) -> list[_Hop]:
    """Forwarded: an element a proxy. A comma within quotes breaks an element in two that both say nothing."""
    return [_hop(member) for member in _members(lists.get(b"forwarded", []), most)]


def _hop(element: bytes) -> _Hop:
    if _ELEMENT.fullmatch(element) is None:
        return _Hop()
    said = {name.lower(): _unquoted(value) for name, value in _PAIRS.findall(element)}
    return _Hop(said.get(b"for", b""), said.get(b"proto", b""), said.get(b"host", b""))


def _unquoted(value: bytes) -> bytes:
    return _ESCAPED.sub(rb"\1", value[1:-1]) if value[:1] == b'"' else value


def _address(node: bytes) -> tuple[str, int] | None:
    """Address and port of a node (RFC 7239 section 6); None: it hides, or is none."""
    match = _NODE.fullmatch(node.decode("latin-1").strip('"'))
    if match is None:
        return None
    port = int(match[3] or 0)
    try:
        address = str(ip_address(match[1] or match[2] or match[4]))
    except ValueError:
        return None
    return (plain_address(address), port) if port < 65_536 else None
