"""Proxies on the way to a relay: which one, and what is said to it and by it, in whatever pieces."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.client.http_connect import LONGEST_HEAD, ConnectRequest
from egtunnel.client.link_headers import read_link_headers
from egtunnel.client.proxies import Proxy, parse_proxy, proxy_for
from egtunnel.client.relay_address import parse_relay
from egtunnel.client.socks import SocksRequest
from egtunnel.client.way import ProxyRefused
from egtunnel.errors import ConfigurationError

SECURE, PLAIN, LOCAL = (
    parse_relay("wss://relay.example.com"),
    parse_relay("ws://192.0.2.9:7070"),
    parse_relay("ws://localhost"),
)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy:3128", Proxy("http", "proxy", 3128)),
        ("proxy.example:8080", Proxy("http", "proxy.example", 8080)),
        ("http://proxy", Proxy("http", "proxy", 3128)),
        ("https://proxy", Proxy("https", "proxy", 443)),
        ("socks5://192.0.2.1", Proxy("socks5", "192.0.2.1", 1080)),
        ("socks5h://[2001:db8::1]:9", Proxy("socks5", "2001:db8::1", 9)),
        ("http://me:p%40ss%3A@proxy:1/", Proxy("http", "proxy", 1, "me", "p@ss:")),
    ],
)
def test_a_proxy_is_read(text: str, proxy: Proxy) -> None:
    """As curl and others write it; the password is not shown."""
    assert parse_proxy(text) == proxy
    assert "p@ss" not in repr(proxy) + proxy.shown


@pytest.mark.parametrize(
    "text",
    [
        "ftp://proxy:1",
        "http://",
        "http://proxy:0",
        "http://proxy:x",
        "http://a/path",
        "http://a\r\nb:1",
        "http://x%0a:y@a",
    ],
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    """Without showing it: there may be a password in it."""
    with pytest.raises(ConfigurationError) as caught:
        parse_proxy(text)
    assert text == "http://" or text not in caught.value.text


@pytest.mark.parametrize(
    ("relay", "given", "environ", "host"),
    [
        (SECURE, "", {}, ""),
        (SECURE, "", {"HTTPS_PROXY": "http://a:1"}, "a"),
        (SECURE, "", {"https_proxy": "http://b:1", "HTTPS_PROXY": "http://a:1"}, "b"),
        (SECURE, "", {"HTTP_PROXY": "http://a:1"}, ""),
        (PLAIN, "", {"HTTP_PROXY": "http://a:1"}, "a"),
        (PLAIN, "", {"ALL_PROXY": "socks5://a"}, "a"),
        (SECURE, "http://c:1", {"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}, "c"),
        (SECURE, "none", {"HTTPS_PROXY": "http://a:1"}, ""),
        (LOCAL, "", {"HTTP_PROXY": "http://a:1"}, ""),
        (LOCAL, "http://c:1", {}, "c"),
        (SECURE, "", {"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}, ""),
        (SECURE, "", {"HTTPS_PROXY": "http://a:1", "NO_PROXY": "other.com, example.com"}, ""),
        (SECURE, "", {"HTTPS_PROXY": "http://a:1", "no_proxy": ".example.com:443"}, ""),
        (SECURE, "", {"HTTPS_PROXY": "http://a:1", "no_proxy": "example.com:80"}, "a"),
        (SECURE, "", {"HTTPS_PROXY": "http://a:1", "no_proxy": "ample.com"}, "a"),
        (PLAIN, "", {"HTTP_PROXY": "http://a:1", "NO_PROXY": "192.0.2.0/24"}, ""),
        (PLAIN, "", {"HTTP_PROXY": "http://a:1", "NO_PROXY": "192.0.2.9:7070"}, ""),
        (PLAIN, "", {"HTTP_PROXY": "http://a:1", "NO_PROXY": "[2001:db8::1]:80 198.51.100.0/24"}, "a"),
    ],
)
def test_which_proxy_it_is(relay: Any, given: str, environ: dict[str, str], host: str) -> None:
    """The option, then the variables; NO_PROXY, and this machine, are exempt from those."""
    found = proxy_for(relay, given, environ)
    assert (found.host if found else "") == host


def fed(request: Any, data: bytes, sizes: list[int]) -> bytes:
    """What the request says to this answer, which comes in pieces."""
    said, at = b"", 0
    for size in [*sizes, len(data)]:
        said += request.received(data[at : at + size])
        at += size
    return said


@given(st.lists(st.integers(1, 30), max_size=8))
def test_connect_opens_a_way(sizes: list[int]) -> None:
    """Headers of the proxy are passed over; what comes behind is the relay's."""
    request = ConnectRequest("relay.example", 443, "me", "secret")
    login = b64encode(b"me:secret").decode()
    assert request.begin().decode() == (
        f"CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\nProxy-Authorization: Basic {login}\r\n\r\n"
    )
    head, rest = b"HTTP/1.0 200 Connection established\r\nProxy-agent: it\r\n\r\n", b"\x16\x03\x03"
    end = sum(sizes)
    fed(request, head, [size for size in sizes if end < len(head)])
    assert request.rest == b""
    request = ConnectRequest("2001:db8::1", 80)
    assert request.begin() == b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"
    request.received(head + rest)
    assert request.rest == rest


@pytest.mark.parametrize(
    ("answer", "user", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "", "it wants a login"),
        (b"HTTP/1.1 407 No\r\n\r\n", "me", "does not accept this login"),
        (b"HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\n", "", "403 Forbidden; it does not let us through"),
        (b"HTTP/1.1 502 \x1b[31mBad\r\n\r\n", "", "502 ?[31mBad; it cannot reach the relay"),
        (b"HTTP/1.1 418 Teapot\r\n\r\n", "", "it answered 418 Teapot"),
        (b"SSH-2.0-OpenSSH_9\r\n", "", "no HTTP proxy"),
        (b"HTTP/2 200\r\n\r\n", "", "no HTTP proxy"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "", "no HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * LONGEST_HEAD, "", "no HTTP proxy"),
    ],
)
def test_a_proxy_that_refuses_connect(answer: bytes, user: str, words: str) -> None:
    """What it said, harmless for a terminal, and what to do."""
    request = ConnectRequest("relay.example", 443, user, "pw")
    with pytest.raises(ProxyRefused) as caught:
        request.received(answer)
    assert words in caught.value.text and "\x1b" not in caught.value.text


REPLY = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"


@given(st.lists(st.integers(1, 5), max_size=12), st.booleans())
def test_socks_opens_a_way(sizes: list[int], login: bool) -> None:
    """With a login and without; names go as they are, for the proxy to look up (RFC 1928 section 4)."""
    request = SocksRequest("relay.example", 443, "me" if login else "", "pw" if login else "")
    assert request.begin() == (b"\x05\x02\x00\x02" if login else b"\x05\x01\x00")
    answers = (b"\x05\x02\x01\x00" if login else b"\x05\x00") + REPLY
    said = fed(request, answers, sizes)
    asked = b"\x05\x01\x00\x03\x0drelay.example\x01\xbb"
    assert said == (b"\x01\x02me\x02pw" if login else b"") + asked
    assert request.rest == b""


@pytest.mark.parametrize(
    ("host", "words"),
    [("192.0.2.1", b"\x01\xc0\x00\x02\x01"), ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01")],
)
def test_socks_asks_for_addresses(host: str, words: bytes) -> None:
    """Of both families; the reply may have an address of any kind, and bytes of the relay's behind."""
    request = SocksRequest(host, 80)
    assert request.received(b"\x05\x00") == b"\x05\x01\x00" + words + b"\x00\x50"
    request.received(b"\x05\x00\x00\x03\x03abc\x00\x50rest")
    assert request.rest == b"rest"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x05\xff", "it wants a login"),
        (b"\x05\x02", "it wants a login"),
        (b"HTTP/1.1 400", "no SOCKS5 proxy"),
        (b"\x05\x00\x05\x02", "its rules do not let us through"),
        (b"\x05\x00\x05\x05", "refused the connection"),
        (b"\x05\x00\x05\x63", "failure 99"),
        (b"\x05\x00\x05\x00\x00\x09\x00", "no SOCKS5 proxy"),
    ],
)
def test_a_proxy_that_refuses_socks(answer: bytes, words: str) -> None:
    """Each reason has its words (RFC 1928 section 6)."""
    with pytest.raises(ProxyRefused) as caught:
        SocksRequest("relay.example", 443).received(answer)
    assert words in caught.value.text


def test_a_login_that_is_wrong() -> None:
    """RFC 1929."""
    request = SocksRequest("relay.example", 443, "me", "wrong")
    request.received(b"\x05\x02")
    with pytest.raises(ProxyRefused, match="does not accept this login"):
        request.received(b"\x01\x01")


def test_headers_of_the_link() -> None:
    """Names and values, and another Host; the relay is still where its URL says."""
    headers = read_link_headers(["CF-Access-Client-Id: abc", "X-Empty:"], "front.example:8443")
    assert headers.fields == (("CF-Access-Client-Id", "abc"), ("X-Empty", ""))
    assert headers.url(SECURE) == "wss://front.example:8443/connect"
    assert read_link_headers([], "").url(SECURE) == SECURE.url
    assert "abc" not in repr(headers)


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("no colon", ""),
        ("a b: c", ""),
        ("Host: x", ""),
        ("Sec-WebSocket-Key: x", ""),
        ("Upgrade: x", ""),
        ("X: a\r\nY: b", ""),
        ("X: " + "v" * 4097, ""),
        ("", "a b"),
        ("", "a/b"),
    ],
)
def test_headers_that_cannot_be(line: str, host: str) -> None:
    """Neither what ends a line nor what the WebSocket says itself."""
    with pytest.raises(ConfigurationError):
        read_link_headers([line] if line else [], host)


def test_too_many_headers() -> None:
    """A limit of its own."""
    with pytest.raises(ConfigurationError, match="at most 64"):
        read_link_headers(["X: y"] * 65, "")
