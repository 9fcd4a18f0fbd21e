"""A response's header section as HTTP/2 sends it. Pure."""

from __future__ import annotations

from egtunnel.ingress.http.headers import Fields

__all__ = ["response_fields"]

_OF_CONNECTION = frozenset([b"connection", b"upgrade", b"keep-alive", b"transfer-encoding", b"proxy-connection"])


def response_fields(status: int, fields: Fields) -> Fields:
    """The section with its status (RFC 9113 section 8.3.2), and without what is about a connection of HTTP/1."""
    section: Fields = [(b":status", b"%d" % status)]
    for name, value in fields:
        lower = name.lower()
        if lower not in _OF_CONNECTION:
            section.append((lower, value.strip(b" \t")))
    return section
