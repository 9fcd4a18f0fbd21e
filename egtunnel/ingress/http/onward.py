"""The head of a request as it goes to the upstream: always HTTP/1.1, framing and hop-by-hop headers made anew. Pure."""

from __future__ import annotations

from egtunnel.ingress.http.head import RequestHead

__all__ = ["raw_bytes", "request_bytes"]


def request_bytes(head: RequestHead, target: bytes, host: str, forwarded: bytes, prefix: bytes = b"") -> bytes:
    """The head of ``head`` for an upstream.

    :param host: what the Host header is to say; empty: what the visitor said.
    :param forwarded: header lines that tell who the visitor is.
    :param prefix: what was taken off the path, for X-Forwarded-Prefix.
    """
    value = host.encode("ascii", "replace") if host else head.host.value
    lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (head.method, target, value)]
    lines += [b"%b: %b\r\n" % field for field in head.fields]
    if head.chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif head.length is not None:
        lines.append(b"Content-Length: %d\r\n" % head.length)
    if head.upgrade:
        lines.append(b"Upgrade: %b\r\nConnection: Upgrade\r\n" % head.upgrade)
    elif head.trailers_wanted:
        lines.append(b"TE: trailers\r\nConnection: TE\r\n")
    if prefix:
        lines.append(b"X-Forwarded-Prefix: %b\r\n" % prefix)
    lines.append(forwarded)
    lines.append(b"\r\n")
    return b"".join(lines)


def raw_bytes(head: RequestHead) -> bytes:
    """The head as it came, for whoever takes over the connection."""
    lines = [b"%b %b HTTP/1.1\r\n" % (head.method, head.target)]
    lines += [b"%b: %b\r\n" % field for field in head.raw]
    lines.append(b"\r\n")
    return b"".join(lines)
