"""The heads of requests and responses as values, and the rules that make them from what a parser read. Pure."""

from __future__ import annotations

import re

from egtunnel.errors import UpstreamBroke
from egtunnel.ingress.http.headers import (
    CODING,
    CONNECTION,
    COOKIE,
    DROP,
    EXPECT,
    HOST,
    KEEP_ALIVE,
    LENGTH,
    PASS,
    TE,
    UPGRADE,
    Fields,
    fence_cookie,
    list_members,
    request_kind,
    response_kind,
    without,
)
from egtunnel.ingress.http.refusals import Refusal, RequestRefused, bad_request
from egtunnel.ingress.http.routes import Host, parse_host

__all__ = ["Fields", "RequestHead", "ResponseHead", "read_request", "read_response"]

IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"])
"""RFC 9110 section 9.2.2."""

_LARGEST = 2**63 - 1
_CONNECTION_OPTIONS = frozenset([b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings"])
_SINGLE = frozenset([HOST, LENGTH, CODING])
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)(.*)", re.DOTALL | re.IGNORECASE)
_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_REASON = re.compile(rb"[\t -~\x80-\xff]*")
_TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*\"?([0-9]{1,6})", re.IGNORECASE)


class RequestHead:
    """A request as it is passed on; the same whichever version of HTTP brought it.

    ``target`` is in origin form (or ``*``), ``fields`` are the headers that go on, ``raw`` those that came.
    ``length`` is that of the body if it is known, else ``chunked`` says whether there is one. ``upgrade`` is what the
    visitor wants to switch to, or empty. ``modern`` is false for HTTP/1.0.
    """

    __slots__ = (
        "chunked",
        "fields",
        "host",
        "keep_alive",
        "length",
        "method",
        "modern",
        "raw",
        "target",
        "trailers_wanted",
        "upgrade",
    )

    def __init__(self, method: bytes, target: bytes, host: Host, raw: Fields, fields: Fields) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.raw = raw
        self.fields = fields
        self.length: int | None = None
        self.chunked = False
        self.keep_alive = True
        self.modern = True
        self.upgrade = b""
        self.trailers_wanted = False

    @property
    def has_body(self) -> bool:
        """Whether a body of at least one byte may follow."""
        return self.chunked or bool(self.length)

    @property
    def idempotent(self) -> bool:
        """Whether it does no harm to send it twice."""
        return self.method in IDEMPOTENT


def read_request(method: bytes, url: bytes, version: str, keep_alive: bool, raw: Fields) -> RequestHead:
    """Check what a parser read and make a head of it. Raises RequestRefused."""
    if version not in ("1.1", "1.0"):
        raise (
            bad_request("The request has no version.")
            if version == "0.9"
            else RequestRefused(Refusal(505, "bad-request", "This relay speaks HTTP/1.0 and HTTP/1.1."))
        )
    fields: Fields = []
    found: dict[int, bytes] = {}
    for field in raw:
        kind = request_kind(field[0])
        if kind == PASS:
            fields.append(field)
        elif kind != DROP:
            _note(found, kind, field)
    if method == b"CONNECT":
        raise RequestRefused(Refusal(405, "method-not-allowed", "This relay is no proxy: it does not CONNECT."))
    host = parse_host(found.get(HOST, b""))
    if host is None:
        raise bad_request("A request needs exactly one well-formed Host header.")
    head = RequestHead(method, _origin_form(method, url, host), host, raw, fields)
    head.modern = version == "1.1"
    head.keep_alive = keep_alive
    if len(found) > 1:
        _frame(head, found)
        _connection(head, found)
    return head


def _note(found: dict[int, bytes], kind: int, field: tuple[bytes, bytes]) -> None:
    value = field[1].strip(b" \t")
    if kind not in found:
        found[kind] = value
    elif kind in _SINGLE:
        raise bad_request(f"The header {field[0].decode('latin-1')} is there more than once.")
    else:
        found[kind] += b"," + value


def _frame(head: RequestHead, found: dict[int, bytes]) -> None:
    coding = found.get(CODING)
    if coding is not None:
        if coding.lower() != b"chunked" or not head.modern or LENGTH in found:
            raise bad_request("The only Transfer-Encoding taken is chunked, in HTTP/1.1, without Content-Length.")
        head.chunked = True
    elif LENGTH in found:
        head.length = _number(found[LENGTH])
        if head.length is None:
            raise bad_request("Content-Length is not one number.")


def _number(digits: bytes) -> int | None:
    number = int(digits) if digits.isdigit() and len(digits) < 20 else -1
    return number if 0 <= number <= _LARGEST else None


def _connection(head: RequestHead, found: dict[int, bytes]) -> None:
    if EXPECT in found and head.modern:
        head.fields.append((b"Expect", found[EXPECT]))
    if TE in found:
        head.trailers_wanted = b"trailers" in [part.partition(b";")[0] for part in list_members(found[TE])]
    options = list_members(found.get(CONNECTION, b""))
    if b"upgrade" in options and head.modern and not head.has_body:
        head.upgrade = b", ".join(part for part in list_members(found.get(UPGRADE, b"")) if part != b"h2c")
    named = set(options) - _CONNECTION_OPTIONS
    if named:  # what the relay needs or adds is not among the fields, so no such list can take it away
        head.fields = without(head.fields, named)


def _origin_form(method: bytes, url: bytes, host: Host) -> bytes:
    if b"#" in url:
        raise bad_request("A request target has no fragment.")
    if url.startswith(b"/"):
        return url
    if url == b"*" and method == b"OPTIONS":
        return url
    match = _ABSOLUTE.fullmatch(url)
    authority = parse_host(match[2]) if match else None
    if match is None or authority is None:
        raise bad_request("The request target is not a path.")
    usual = _DEFAULT_PORTS[match[1].lower()]
    if authority.name != host.name or (authority.port or usual) != (host.port or usual):
        raise bad_request("The request target and the Host header name different hosts.")
    rest = match[3]
    return rest if rest.startswith(b"/") else b"/" + rest


class ResponseHead:
    """A response as it is passed on.

    ``length`` of the body if it is known (of a response to HEAD or a 304: the one it would have had); ``bodiless``:
    there is none whatever ``length`` says; ``to_close``: the end of the connection ends it. ``idle``: how long the
    upstream keeps its connection, if it says so.
    """

    __slots__ = (
        "bodiless",
        "chunked",
        "fields",
        "idle",
        "keep_alive",
        "length",
        "reason",
        "status",
        "to_close",
        "upgrade",
    )

    def __init__(self, status: int, reason: bytes, fields: Fields) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.length: int | None = None
        self.chunked = False
        self.bodiless = False
        self.to_close = False
        self.keep_alive = True
        self.idle: float | None = None
        self.upgrade: tuple[bytes, ...] = ()


def read_response(
    status: int, reason: bytes, version: str, keep_alive: bool, raw: Fields, *, to_head: bool, domain: str
) -> ResponseHead:
    """Check what a parser read of an upstream and make a head of it. Raises UpstreamBroke.

    :param to_head: the request was HEAD.
    :param domain: the relay's own; no cookie is set for all of it.
    """
    fields: Fields = []
    found: dict[int, bytes] = {}
    for field in raw:
        kind = response_kind(field[0])
        if kind == PASS:
            fields.append(field)
        elif kind == COOKIE:
            fields.append((field[0], fence_cookie(field[1], domain)))
        elif kind != DROP:
            value = field[1].strip(b" " if kind == CODING else b" \t")  # behind "chunked" the parser takes no tab
            if kind in _SINGLE and kind in found:
                raise UpstreamBroke("the response has two framings")
            found[kind] = found[kind] + b"," + value if kind in found else value
    head = ResponseHead(status, reason if _REASON.fullmatch(reason) else b"", fields)
    _frame_response(head, found, version, to_head)
    head.keep_alive = keep_alive and not head.to_close and not (status == 204 and CODING in found)  # chunks may come
    if CONNECTION in found or KEEP_ALIVE in found or UPGRADE in found:
        _connection_of_response(head, found)
    return head


def _frame_response(head: ResponseHead, found: dict[int, bytes], version: str, to_head: bool) -> None:
    if version not in ("1.1", "1.0"):
        raise UpstreamBroke("the response has an unknown version")
    status, length, coding = head.status, found.get(LENGTH), found.get(CODING)
    if length is not None:
        head.length = _number(length)
        if head.length is None:
            raise UpstreamBroke("Content-Length is not one number")
    head.bodiless = to_head or status < 200 or status in (204, 304)
    if status < 200 or status == 204:
        if head.length or (coding and status < 200):
            raise UpstreamBroke("a response that has no body says how long it is")
        head.length = None
    elif coding is not None:
        if coding.lower() != b"chunked" or version != "1.1" or length is not None:
            raise UpstreamBroke("the response has a framing that cannot be read")
        head.chunked = not head.bodiless
    elif length is None and not head.bodiless:
        head.to_close = True


def _connection_of_response(head: ResponseHead, found: dict[int, bytes]) -> None:
    named = set(list_members(found.get(CONNECTION, b""))) - _CONNECTION_OPTIONS
    if named:
        head.fields = without(head.fields, named)
    if UPGRADE in found:
        head.upgrade = list_members(found[UPGRADE])
    match = _TIMEOUT.search(found[KEEP_ALIVE]) if KEEP_ALIVE in found else None
    if match is not None:
        head.idle = float(match[1])
