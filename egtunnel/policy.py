"""What a tunnel does to the headers and paths of its requests and responses. Pure.

A policy is made of the client's options and travels in its claim; the relay checks all of it again. Who has a tunnel
may change what is said through it, but nothing that decides where a message ends, where it goes or who said it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, cast
from urllib.parse import unquote_to_bytes

import attrs

from egtunnel.errors import EgtunnelError

__all__ = ["Edit", "HeaderPolicy", "PolicyError", "PolicyLimits", "restore_location"]

Fields = list[tuple[bytes, bytes]]
Action = Literal["add", "set", "remove"]

ACTIONS = ("add", "set", "remove")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_PREFIX = re.compile(rb"(?:/[!-~]+)*")
_NOT_IN_PREFIX = frozenset(b"?#%\\")
_URL = re.compile(rb"(https?)://([^/?#]*)(.*)", re.DOTALL | re.IGNORECASE)
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}

_NOT_OURS = frozenset(
    b"connection content-length expect forwarded host http2-settings keep-alive proxy te trailer transfer-encoding "
    b"upgrade via".split()
)
_NOT_OURS_PREFIXES = (b"proxy-", b"x-forwarded", b"x-egtunnel")
"""Framing, routing and hop-by-hop fields, and the relay's own words."""


class PolicyError(EgtunnelError):
    """A header policy asks for what cannot be done, or must not be."""

    word = "bad-policy"


@attrs.frozen
class PolicyLimits:
    """Of what one tunnel may ask for. ``edits``: of requests, and as many of responses. ``name``, ``value`` and
    ``prefix``: the longest of each, bytes. ``size``: all names and values together, bytes, so that a claim fits its
    message.
    """

    edits: int = 64
    name: int = 128
    value: int = 4096
    prefix: int = 256
    size: int = 16_384


def _plain(name: bytes) -> bytes:
    """A name as most servers tell names apart: without case, and with the underscores that they take for hyphens."""
    return name.lower().replace(b"_", b"-")


@attrs.frozen
class Edit:
    """One change. ``add`` puts a field beside those that are there, ``set`` in their place, ``remove`` has no value.

    Raises PolicyError for a name or value that is none (RFC 9110 section 5), and for a field that is not a tunnel's.
    """

    action: Action
    name: bytes
    value: bytes = b""

    def __attrs_post_init__(self) -> None:
        """Check it."""
        shown = ascii(self.name.decode("latin-1"))
        if self.action not in ACTIONS:
            raise PolicyError("a header is added, set or removed, nothing else")
        if _TOKEN.fullmatch(self.name) is None:
            raise PolicyError(f"{shown} is no name of a header")
        if not _is_value(self.value) or (self.action == "remove" and self.value):
            raise PolicyError(f"the header {shown} cannot have that value")
        plain = _plain(self.name)
        if plain in _NOT_OURS or plain.startswith(_NOT_OURS_PREFIXES):
            raise PolicyError(f"the header {shown} is the relay's own matter")
        if plain == b"set-cookie" and _has_domain(self.value):
            raise PolicyError("a cookie that is set here has no Domain")


def _is_value(value: bytes) -> bool:
    """Whether it can be the value of a field, and of a member in a claim, whose texts are Unicode."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return _VALUE.fullmatch(value) is not None


def _has_domain(cookie: bytes) -> bool:
    """A Domain could give the cookie to all tunnels of the relay; those of a service's own are judged as they pass."""
    return any(part.partition(b"=")[0].strip(b" \t").lower() == b"domain" for part in cookie.split(b";")[1:])


def _gone(edits: Iterable[Edit], same: Callable[[bytes], bytes]) -> frozenset[bytes]:
    """Which fields of a message do not stay; ``same`` makes one name of those that mean the same."""
    return frozenset(same(edit.name) for edit in edits if edit.action != "add")


def _put(edits: Iterable[Edit], same: Callable[[bytes], bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """What stands at the end whatever was there before: no edit depends on a message."""
    fields: Fields = []
    for edit in edits:
        if edit.action != "add":
            fields = [field for field in fields if same(field[0]) != same(edit.name)]
        if edit.action != "remove":
            fields.append((edit.name, edit.value))
    return tuple(fields)


@attrs.frozen
class HeaderPolicy:
    """All that one tunnel changes; edits apply in their order, and nothing is changed where it is false.

    ``path_prefix`` is put before every path that goes to the service. In requests, ``set`` and ``remove`` also mean
    names with underscores for hyphens. Raises PolicyError for a prefix that is none.
    """

    request: tuple[Edit, ...] = ()
    response: tuple[Edit, ...] = ()
    path_prefix: bytes = b""
    _request_gone: frozenset[bytes] = attrs.field(init=False, repr=False, eq=False)
    _response_gone: frozenset[bytes] = attrs.field(init=False, repr=False, eq=False)
    _request_put: tuple[tuple[bytes, bytes], ...] = attrs.field(init=False, repr=False, eq=False)
    _response_put: tuple[tuple[bytes, bytes], ...] = attrs.field(init=False, repr=False, eq=False)

    @_request_gone.default
    def _find_request_gone(self) -> frozenset[bytes]:
        return _gone(self.request, _plain)

    @_response_gone.default
    def _find_response_gone(self) -> frozenset[bytes]:
        return _gone(self.response, bytes.lower)

    @_request_put.default
    def _find_request_put(self) -> tuple[tuple[bytes, bytes], ...]:
        return _put(self.request, _plain)

    @_response_put.default
    def _find_response_put(self) -> tuple[tuple[bytes, bytes], ...]:
        return _put(self.response, bytes.lower)

    def __attrs_post_init__(self) -> None:
        """Check the prefix."""
        prefix = self.path_prefix
        segments = prefix.split(b"/")[1:]
        if _PREFIX.fullmatch(prefix) is None or not _NOT_IN_PREFIX.isdisjoint(prefix):
            raise PolicyError("a path prefix is like /app: printable ASCII without blanks, ?, # or %")
        if prefix and not all(segment not in (b"", b".", b"..") for segment in segments):
            raise PolicyError("a path prefix has no empty or dotted segments and does not end with a slash")

    def __bool__(self) -> bool:
        """Whether there is anything to change."""
        return bool(self.request or self.response or self.path_prefix)

    # -- the edits

    def edit_request(self, fields: Fields) -> Fields:
        """The fields of a request as the service is to see them."""
        return [*self.strip_request(fields), *self._request_put] if self.request else fields

    def edit_response(self, fields: Fields, host: bytes = b"") -> Fields:
        """The fields of a response as the visitor is to see them; ``host`` is the Host that it asked for."""
        if self.path_prefix:
            fields = restore_location(fields, self.path_prefix, host)
        return [*self.strip_response(fields), *self._response_put] if self.response else fields

    def strip_request(self, fields: Fields) -> Fields:
        """The fields without those that are set or removed and with nothing added: for trailers."""
        gone = self._request_gone
        return [field for field in fields if _plain(field[0]) not in gone] if gone else fields

    def strip_response(self, fields: Fields) -> Fields:
        """The same for trailers and informational responses."""
        gone = self._response_gone
        return [field for field in fields if field[0].lower() not in gone] if gone else fields

    def climbs(self, target: bytes) -> bool:
        """Whether a request's path could lead out of the prefix: the relay changes no path, but services resolve it.

        Slashes that are backslashes, dots and slashes that are escaped, and parameters of a segment are seen through.
        """
        if not self.path_prefix or (b".." not in target and b"%" not in target):
            return False
        path = unquote_to_bytes(target.partition(b"?")[0]).replace(b"\\", b"/")
        return any(segment.partition(b";")[0] == b".." for segment in path.split(b"/"))

    # -- on the wire

    def to_wire(self) -> tuple[list[list[str]], list[list[str]], str]:
        """The members ``request_headers``, ``response_headers`` and ``path_prefix`` of a claim."""
        request, response = (
            [[edit.action, edit.name.decode("ascii"), edit.value.decode("utf-8")] for edit in edits]
            for edits in (self.request, self.response)
        )
        return request, response, self.path_prefix.decode("ascii")

    @classmethod
    def from_wire(
        cls, request: object, response: object, path_prefix: object, limits: PolicyLimits | None = None
    ) -> HeaderPolicy:
        """The policy of a claim, whatever stands in those members. Raises PolicyError."""
        limits = limits or PolicyLimits()
        policy = cls(_edits(request, limits), _edits(response, limits), _bytes(path_prefix))
        policy.check(limits)
        return policy

    def check(self, limits: PolicyLimits) -> None:
        """Raise PolicyError if it is more than the limits allow."""
        if max(len(self.request), len(self.response)) > limits.edits:
            raise PolicyError(f"a tunnel has at most {limits.edits} edits of requests, and of responses")
        if len(self.path_prefix) > limits.prefix:
            raise PolicyError(f"a path prefix has at most {limits.prefix} bytes")
        size = 0
        for edit in (*self.request, *self.response):
            if len(edit.name) > limits.name or len(edit.value) > limits.value:
                raise PolicyError(f"a header has at most {limits.name} bytes of name and {limits.value} of value")
            size += len(edit.name) + len(edit.value)
        if size > limits.size:
            raise PolicyError(f"all headers of a policy have at most {limits.size} bytes")


def _edits(rows: object, limits: PolicyLimits) -> tuple[Edit, ...]:
    if not isinstance(rows, (list, tuple)) or len(rows) > limits.edits:
        raise PolicyError(f"the edits of a policy are a list of at most {limits.edits}")
    return tuple(_edit(row) for row in rows)


def _edit(row: object) -> Edit:
    if not isinstance(row, (list, tuple)) or not 2 <= len(row) <= 3:
        raise PolicyError("an edit is a list of action, name and value")
    action, name, value = cast(Sequence[object], [*row, ""][:3])
    if action not in ACTIONS:
        raise PolicyError("a header is added, set or removed, nothing else")
    return Edit(cast(Action, action), _bytes(name), _bytes(value))


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise PolicyError("names, values and paths are texts")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise PolicyError("names, values and paths are Unicode") from None


def restore_location(fields: Fields, prefix: bytes, host: bytes = b"") -> Fields:
    """The fields of a response whose Location, if it leads below ``prefix`` on this host, is as the visitor sees it.

    It may be a path or a URL of ``host``, which is compared without case and with or without the usual port.
    """
    if not any(field[0].lower() == b"location" for field in fields):
        return fields
    return [
        (name, _restored(value, prefix, host)) if name.lower() == b"location" else (name, value)
        for name, value in fields
    ]


def _restored(value: bytes, prefix: bytes, host: bytes) -> bytes:
    start, place = b"", value.strip(b" \t")
    match = _URL.fullmatch(place)
    if match is not None:
        usual = _DEFAULT_PORTS[match[1].lower()]
        if match[2].lower().removesuffix(usual) != host.lower().removesuffix(usual) or not host:
            return value
        start, place = place[: match.start(3)], match[3]
    rest = place.removeprefix(prefix)
    if len(rest) == len(place) or rest[:1] not in (b"", b"/", b"?", b"#"):
        return value
    if not start and rest.replace(b"\t", b"")[1:2] in (b"/", b"\\"):
        return value  # what would be left names another host (RFC 3986 section 4.2; browsers read \ as / and no tabs)
    return start + (rest if rest.startswith(b"/") else b"/" + rest)
