"""Where a connection wants to go, as far as its first bytes tell: a hint, which the protocols never see. Pure."""

from __future__ import annotations

import re

import attrs

from egtunnel.ingress.http.routes import Host, parse_host
from egtunnel.ingress.tls.hello import MalformedHello, offered, server_name
from egtunnel.interfaces import LINK_PROTOCOL

__all__ = ["LONGEST_HELLO", "Destination", "destination"]

LONGEST_HELLO = 16_384
"""Bytes of a ClientHello that is waited for."""
LONGEST_HEAD = 16_384
"""Bytes of a request head in which a Host is looked for."""
TLS_RECORD = 0x16
_LINE = re.compile(rb"[A-Z]{1,20} (/[^ \r\n]*) HTTP/1\.[01]\r\n")
_HOST = re.compile(rb"\r\n[Hh][Oo][Ss][Tt]:[ \t]*([^\r\n]{1,262}?)[ \t]*\r\n")


@attrs.frozen
class Destination:
    """``host``: whom it names; None: nobody who can be read. ``path``: of the first request, where it is in the clear.

    ``link``: it could be a client's, and is no visitor's: a ClientHello offers what only clients speak. ``hello``: it
    was read in a ClientHello.
    """

    host: Host | None = None
    path: bytes = b""
    link: bool = False
    hello: bool = False


NOWHERE = Destination()


def destination(data: bytes) -> Destination | None:
    """What the first bytes name: the server name of a ClientHello, or the Host of a request; None: more are needed."""
    if not data:
        return None
    if data[0] == TLS_RECORD:
        return _of_hello(data)
    return _of_head(data)


def _of_hello(data: bytes) -> Destination | None:
    try:
        name = server_name(data, LONGEST_HELLO)
        if name is None:
            return None
        link = LINK_PROTOCOL in offered(data, LONGEST_HELLO)
    except MalformedHello:
        return NOWHERE
    return Destination(parse_host(name.encode()) if name else None, link=link, hello=True)


def _of_head(data: bytes) -> Destination:
    """A head that is not there in one piece is not waited for: it can be served anywhere."""
    head = data[:LONGEST_HEAD].partition(b"\r\n\r\n")
    line = _LINE.match(head[0] + b"\r\n") if head[1] else None
    host = _HOST.search(head[0] + b"\r\n") if line is not None else None
    if line is None or host is None:
        return NOWHERE
    return Destination(parse_host(host[1]), line[1])
