"""The responses of an HTTP/2 upstream as the same heads that HTTP/1 makes, under the same rules. Pure."""

from __future__ import annotations

import re

from egtunnel.errors import UpstreamBroke
from egtunnel.ingress.http.head import ResponseHead, read_response
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.refusals import REASONS

__all__ = ["read_head", "read_trailers"]

_STATUS = re.compile(rb"[1-9][0-9]{2}")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_FORBIDDEN = frozenset([b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"])
"""RFC 9113 section 8.2.2."""


def read_head(raw: Fields, ended: bool, to_head: bool, domain: str, limits: HTTPLimits) -> ResponseHead:
    """Check a header section and make a head of it, informational or final. Raises UpstreamBroke.

    :param ended: no body follows.
    :param to_head: the request was HEAD.
    """
    if len(raw) > limits.response_headers or sum(len(n) + len(v) + 4 for n, v in raw) > limits.response_head:
        raise UpstreamBroke("the head of the response is too large")
    name, text = raw[0] if raw else (b"", b"")
    if name != b":status" or _STATUS.fullmatch(text) is None:
        raise UpstreamBroke("the response has no status")
    status, fields = int(text), raw[1:]
    _check(fields)
    if status == 101:
        raise UpstreamBroke("the response switches protocols, which HTTP/2 does not know")
    head = read_response(status, REASONS.get(status, b""), "1.1", True, fields, to_head=to_head, domain=domain)
    head.to_close = False
    head.keep_alive = True
    if status >= 200 and not head.bodiless and head.length is None:
        _without_length(head, ended)
    return head


def _without_length(head: ResponseHead, ended: bool) -> None:
    """What ends at once has no body; of gRPC that is a call that failed, and its visitor expects no length."""
    if ended and not any(name == b"grpc-status" for name, _ in head.fields):
        head.length = 0
    else:
        head.chunked = True


def read_trailers(raw: Fields, limits: HTTPLimits) -> Fields:
    """Check a trailer section. Raises UpstreamBroke."""
    if len(raw) > limits.trailers or sum(len(n) + len(v) + 4 for n, v in raw) > limits.response_head:
        raise UpstreamBroke("the trailers of the response are too large")
    _check(raw)
    return [(name, value.strip(b" \t")) for name, value in raw]


def _check(fields: Fields) -> None:
    for name, value in fields:
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value.strip(b" \t")) is None:
            raise UpstreamBroke("the response has a header with a name or a value that HTTP/2 does not allow")
        if name in _FORBIDDEN:
            raise UpstreamBroke("the response has a header that has no place in HTTP/2")
