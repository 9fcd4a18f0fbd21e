"""The requests of HTTP/2 as the same heads that HTTP/1 makes, under the same rules. Pure."""

from __future__ import annotations

import re

from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import EXPECT, LENGTH, PASS, Fields, request_kind
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.refusals import Refusal, RequestRefused, bad_request
from egtunnel.ingress.http.routes import parse_host

__all__ = ["WEBSOCKET", "read_fields", "read_trailers"]

WEBSOCKET = b"websocket"

_PSEUDO = frozenset([b":method", b":scheme", b":path", b":authority", b":protocol"])
_FORBIDDEN = frozenset([b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"])
"""RFC 9113 section 8.2.2."""
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_VALUE = re.compile(rb"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?|")
_PATH = re.compile(rb"/[!-\"$-~]*")
_WITH_BODY = frozenset([b"POST", b"PUT", b"PATCH"])

TOO_LARGE = Refusal(431, "bad-request", "The head of the request is too large.")
URL_TOO_LONG = Refusal(414, "bad-request", "The request target is too long.")


def read_fields(raw: Fields, ended: bool, limits: HTTPLimits) -> RequestHead:
    """Check a header section and make a head of it; ``ended``: no body follows. Raises RequestRefused.

    The head of an extended CONNECT for a WebSocket (RFC 8441) is that of the GET with Upgrade that it stands for; its
    Sec-WebSocket-Key is left to the caller.
    """
    _check_size(raw, limits)
    pseudo, plain = _split(raw)
    method, path = _method(pseudo), pseudo.get(b":path", b"")
    if pseudo.get(b":scheme") not in (b"http", b"https"):
        raise bad_request("The request needs one scheme, http or https.")
    if len(path) > limits.target:
        raise RequestRefused(URL_TOO_LONG)
    if _PATH.fullmatch(path) is None and not (path == b"*" and method == b"OPTIONS"):
        raise bad_request("The request target is not a path.")
    host = parse_host(_authority(pseudo, plain))
    if host is None:
        raise bad_request("A request needs exactly one well-formed authority.")
    head = RequestHead(method, path, host, raw, [])
    _take_fields(head, plain)
    _frame(head, ended)
    if b":protocol" in pseudo:
        _upgrade(head)
    return head


def read_trailers(raw: Fields, limits: HTTPLimits) -> Fields:
    """Check a trailer section. Raises RequestRefused."""
    if len(raw) > limits.trailers or sum(len(name) + len(value) for name, value in raw) > limits.overhead:
        raise bad_request("The trailers are too large.")
    for name, value in raw:
        _check_field(name, value)
    return raw


def _check_size(raw: Fields, limits: HTTPLimits) -> None:
    size = longest = 0
    for name, value in raw:
        here = len(name) + len(value)
        size += here + 4
        longest = max(longest, 0 if name == b":path" else here)
    if len(raw) > limits.headers or size > limits.head or longest > limits.header:
        raise RequestRefused(TOO_LARGE)


def _split(raw: Fields) -> tuple[dict[bytes, bytes], Fields]:
    pseudo: dict[bytes, bytes] = {}
    plain: Fields = []
    for name, value in raw:
        if name[:1] == b":":
            if plain or name in pseudo or name not in _PSEUDO:
                raise bad_request("The pseudo-header fields are not what HTTP/2 asks for.")
            if _VALUE.fullmatch(value) is None:
                raise bad_request("A pseudo-header field holds bytes that it must not.")
            pseudo[name] = value
        else:
            _check_field(name, value)
            plain.append((name, value))
    return pseudo, plain


def _check_field(name: bytes, value: bytes) -> None:
    if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise bad_request("A header has a name or a value that HTTP/2 does not allow.")
    if name in _FORBIDDEN or (name == b"te" and value != b"trailers"):
        raise bad_request("A header has no place in HTTP/2.")


def _method(pseudo: dict[bytes, bytes]) -> bytes:
    method = pseudo.get(b":method", b"")
    if _METHOD.fullmatch(method) is None:
        raise bad_request("The request needs one method.")
    protocol = pseudo.get(b":protocol")
    if method != b"CONNECT":
        if protocol is not None:
            raise bad_request("Only CONNECT has a protocol.")
        return method
    if protocol is None:
        raise RequestRefused(Refusal(405, "method-not-allowed", "This relay is no proxy: it does not CONNECT."))
    if protocol.lower() != WEBSOCKET:
        raise RequestRefused(Refusal(501, "bad-request", "This relay connects WebSockets, and nothing else."))
    return b"GET"


def _authority(pseudo: dict[bytes, bytes], plain: Fields) -> bytes:
    hosts = [value for name, value in plain if name == b"host"]
    authority = pseudo.get(b":authority")
    if authority is not None:
        hosts.append(authority)
    if not hosts or len(hosts) > 2 or len({host.lower() for host in hosts}) > 1:
        raise bad_request("A request needs exactly one well-formed authority.")
    if len(hosts) == 2 and authority is None:
        raise bad_request("A request needs exactly one well-formed authority.")
    return hosts[-1]


def _take_fields(head: RequestHead, plain: Fields) -> None:
    cookies: list[bytes] = []
    fields = head.fields
    for name, value in plain:
        kind = request_kind(name)
        if name == b"cookie":
            cookies.append(value)
        elif kind == PASS:
            fields.append((name, value))
        elif kind == LENGTH:
            _take_length(head, value)
        elif kind == EXPECT:
            fields.append((name, value))
        elif name == b"te":
            head.trailers_wanted = True
    if cookies:  # crumbs, for the sake of compression (RFC 9113 section 8.2.3)
        fields.append((b"cookie", b"; ".join(cookies)))


def _take_length(head: RequestHead, value: bytes) -> None:
    if head.length is not None or not value.isdigit() or len(value) > 18:
        raise bad_request("Content-Length is not one number.")
    head.length = int(value)


def _frame(head: RequestHead, ended: bool) -> None:
    if not ended:
        head.chunked = head.length is None
    elif head.length:
        raise bad_request("The request says that it has a body, and has none.")
    elif head.length is None and head.method in _WITH_BODY:
        head.length = 0


def _upgrade(head: RequestHead) -> None:
    if head.length is not None:
        raise bad_request("A WebSocket has no length.")
    head.chunked = False
    head.upgrade = WEBSOCKET
