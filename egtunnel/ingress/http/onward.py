"""A request as it goes to the upstream: framing and hop-by-hop headers made anew, in the upstream's HTTP. Pure."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from egtunnel.guard import Asked
from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import Fields, Forwarding, without
from egtunnel.interfaces import ITunnel

__all__ = ["Onward", "raw_bytes"]


class Onward:
    """The request ``head`` for the upstream of ``tunnel``, whose policy it follows.

    :param target: what is asked for; it begins with a slash, or is ``*``.
    :param forwarding: headers that tell who the visitor is.
    :param prefix: what was taken off the path, for X-Forwarded-Prefix.
    :param share: the link, by its id, by which it comes; empty: none.
    """

    __slots__ = ("_forwarding", "_share", "head", "prefix", "target", "tunnel")

    def __init__(
        self,
        head: RequestHead,
        target: bytes,
        tunnel: ITunnel,
        forwarding: Forwarding,
        prefix: bytes = b"",
        share: str = "",
    ) -> None:
        self.head = head
        self.target = target
        self.tunnel = tunnel
        self._forwarding = forwarding
        self.prefix = prefix
        self._share = share

    def asked(self, read_body: Callable[[Asked, int], Deferred[bytes]]) -> Asked:
        """The request as the tunnel's rules for visitors see it."""
        head = self.head
        return Asked(  # by position: this is done for each request
            head.method,
            self.target,
            head.host.value,
            head.raw,
            self._forwarding.scheme,
            self.prefix,
            head.upgrade,
            self._share,
            read_body,
        )

    def withhold(self, asked: Asked) -> None:
        """Leave out what was for the rules alone."""
        if asked.withheld is not None:
            self.head.fields = without(self.head.fields, asked.withheld)

    def http1(self) -> bytes:
        """The head as HTTP/1.1 (RFC 9112 section 3)."""
        head = self.head
        lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (head.method, self._path(), self._host())]
        lines += [b"%b: %b\r\n" % field for field in self._fields()]
        if head.chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif head.length is not None:
            lines.append(b"Content-Length: %d\r\n" % head.length)
        if head.upgrade:
            lines.append(b"Upgrade: %b\r\nConnection: Upgrade\r\n" % head.upgrade)
        elif head.trailers_wanted:
            lines.append(b"TE: trailers\r\nConnection: TE\r\n")
        if self.prefix:
            lines.append(b"X-Forwarded-Prefix: %b\r\n" % self.prefix)
        lines.append(self._forwarding.lines)
        lines.append(b"\r\n")
        return b"".join(lines)

    def http2(self) -> Fields:
        """The head as HTTP/2: pseudo-header fields first, names in lower case (RFC 9113 section 8.3.1)."""
        head = self.head
        fields: Fields = [
            (b":method", head.method),
            (b":scheme", self.tunnel.scheme.encode("ascii")),
            (b":authority", self._host()),
            (b":path", self._path()),
        ]
        fields += [(name.lower(), value.strip(b" \t")) for name, value in self._fields()]
        if head.length is not None:
            fields.append((b"content-length", b"%d" % head.length))
        if head.trailers_wanted:
            fields.append((b"te", b"trailers"))
        if self.prefix:
            fields.append((b"x-forwarded-prefix", self.prefix))
        return fields + self._forwarding.fields

    def _host(self) -> bytes:
        rewritten = self.tunnel.host_header
        return rewritten.encode("ascii", "replace") if rewritten else self.head.host.value

    def _path(self) -> bytes:
        policy = self.tunnel.policy
        if policy is None or not policy.path_prefix or self.target == b"*":
            return self.target
        return policy.path_prefix + self.target

    def _fields(self) -> Fields:
        policy = self.tunnel.policy
        return self.head.fields if policy is None else policy.edit_request(self.head.fields)


def raw_bytes(head: RequestHead) -> bytes:
    """The head as it came, for whoever takes over the connection."""
    lines = [b"%b %b HTTP/1.1\r\n" % (head.method, head.target)]
    lines += [b"%b: %b\r\n" % field for field in head.raw]
    lines.append(b"\r\n")
    return b"".join(lines)
