"""PROXY headers of both versions: what is read from them, and what is refused."""

from __future__ import annotations

import socket
import struct

import pytest

from egtunnel.ingress.front.proxy_protocol import (
    SIGNATURE_V2,
    ProxyHeader,
    ProxyHeaderRefused,
    read_proxy_header,
)
from tests.ingress.front.headers import v2

LIMIT = 2_048
IPV4 = socket.inet_aton("203.0.113.9") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 51_000, 443)
IPV6 = socket.inet_pton(socket.AF_INET6, "2001:db8::9") * 2 + struct.pack("!HH", 51_000, 443)
NOTE = b"\x04\x00\x03abc"
"""An addition that means nothing: PP2_TYPE_NOOP."""

READ = [
    (b"PROXY TCP4 203.0.113.9 198.51.100.1 51000 443\r\n", "203.0.113.9", 51_000),
    (b"PROXY TCP4 203.0.113.9 198.51.100.1 0 0\r\n", "203.0.113.9", 0),
    (b"PROXY TCP6 2001:db8::9 2001:db8::1 51000 443\r\n", "2001:db8::9", 51_000),
    (b"PROXY TCP6 2001:DB8:0:0:0:0:0:9 ::1 1 2\r\n", "2001:db8::9", 1),
    (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n", "203.0.113.9", 1),
    (b"PROXY UNKNOWN\r\n", "", 0),
    (b"PROXY UNKNOWN anything at all\r\n", "", 0),
    (v2(0x21, 0x11, IPV4), "203.0.113.9", 51_000),
    (v2(0x21, 0x11, IPV4 + NOTE + NOTE), "203.0.113.9", 51_000),
    (v2(0x21, 0x21, IPV6), "2001:db8::9", 51_000),
    (v2(0x21, 0x21, socket.inet_pton(socket.AF_INET6, "::ffff:203.0.113.9") * 2 + b"\0\1\0\2"), "203.0.113.9", 1),
    (v2(0x21, 0x31, bytes(216) + NOTE), "", 0),
    (v2(0x21, 0x00, b""), "", 0),
    (v2(0x21, 0x00, b"whatever"), "", 0),
    (v2(0x20, 0x00, b""), "", 0),
    (v2(0x20, 0x11, IPV4), "", 0),
]


@pytest.mark.parametrize(("header", "host", "port"), READ)
def test_whom_a_header_names_is_read_and_nothing_behind_it(header: bytes, host: str, port: int) -> None:
    """Also where it comes byte by byte: before its last byte nothing is known, nothing behind it matters."""
    expected = ProxyHeader(len(header), host, port)
    assert read_proxy_header(header, LIMIT) == expected
    assert read_proxy_header(header + b"GET / HTTP/1.1\r\n", LIMIT) == expected
    signature = 6 if header.startswith(b"PROXY ") else len(SIGNATURE_V2)
    assert all(read_proxy_header(header[:size], LIMIT) is None for size in range(signature, len(header)))


REFUSED = [
    b"PROXY TCP4 203.0.113.9 198.51.100.1 51000\r\n",
    b"PROXY TCP4 203.0.113.9 198.51.100.1 51000 443 7\r\n",
    b"PROXY TCP4  203.0.113.9 198.51.100.1 51000 443\r\n",
    b"PROXY TCP5 203.0.113.9 198.51.100.1 51000 443\r\n",
    b"PROXY tcp4 203.0.113.9 198.51.100.1 51000 443\r\n",
    b"PROXY TCP4 2001:db8::9 198.51.100.1 51000 443\r\n",
    b"PROXY TCP6 203.0.113.9 198.51.100.1 51000 443\r\n",
    b"PROXY TCP4 203.0.113.009 198.51.100.1 51000 443\r\n",
    b"PROXY TCP4 203.0.113.9 example.com 51000 443\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 51000 443\r\n",
    b"PROXY TCP4 203.0.113.\xb9 198.51.100.1 51000 443\r\n",
    b"PROXY TCP4 203.0.113.9 198.51.100.1 051 443\r\n",
    b"PROXY TCP4 203.0.113.9 198.51.100.1 65536 443\r\n",
    b"PROXY TCP4 203.0.113.9 198.51.100.1 -1 443\r\n",
    b"PROXY TCP4 203.0.113.9 198.51.100.1 51000 \r\n",
    b"PROXY TCP4 203.0.113.9 198.51.100.1 " + b"9" * 5000 + b" 1\r\n",
    b"PROXY TCP4\n203.0.113.9 198.51.100.1 51000 443\r\n",
    b"PROXY \r\n",
    b"PROXY UNKNOWN" + b" " * 93 + b"\r\n",
    v2(0x11, 0x11, IPV4),
    v2(0x22, 0x11, IPV4),
    v2(0x31, 0x11, IPV4),
    v2(0x21, 0x12, IPV4),
    v2(0x21, 0x41, IPV4),
    v2(0x21, 0x01, IPV4),
    v2(0x21, 0x11, IPV4[:-1]),
    v2(0x21, 0x21, IPV4),
    v2(0x21, 0x31, bytes(215)),
    v2(0x21, 0x11, IPV4 + b"\x04"),
    v2(0x21, 0x11, IPV4 + b"\x04\x00\x04abc"),
    v2(0x21, 0x11, IPV4 + NOTE + b"\x04\xff\xff"),
]


@pytest.mark.parametrize("header", REFUSED)
def test_a_malformed_header_is_refused(header: bytes) -> None:
    """A balancer that cannot be understood is not guessed at."""
    with pytest.raises(ProxyHeaderRefused):
        read_proxy_header(header, LIMIT)


def test_version_1_has_107_bytes_at_most() -> None:
    """Refused as soon as that many came without an end; the longest header there is passes."""
    longest = b"PROXY UNKNOWN" + b" " * 92 + b"\r\n"
    assert read_proxy_header(longest, LIMIT) == ProxyHeader(107)
    assert read_proxy_header(longest[:106], LIMIT) is None
    with pytest.raises(ProxyHeaderRefused, match="107"):
        read_proxy_header(b"PROXY UNKNOWN" + b" " * 94, LIMIT)


def test_version_2_is_refused_at_its_length_before_it_has_come() -> None:
    """Nobody is made to wait for, or to hold, 64 KiB."""
    fitting = IPV4 + b"\x04\x07\xf1" + bytes(LIMIT - len(IPV4) - 3)
    assert read_proxy_header(v2(0x21, 0x11, fitting), LIMIT) == ProxyHeader(16 + LIMIT, "203.0.113.9", 51_000)
    with pytest.raises(ProxyHeaderRefused, match="longer than 2048"):
        read_proxy_header(v2(0x21, 0x11, fitting + b"\0")[:16], LIMIT)
