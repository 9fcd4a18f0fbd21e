"""What happens to each header."""

from __future__ import annotations

import pytest

from egtunnel.ingress.http.headers import (
    DROP,
    HOST,
    PASS,
    fence_cookie,
    forwarded,
    list_members,
    request_kind,
    response_kind,
    trailers_to_pass,
    without,
)


@pytest.mark.parametrize(
    "name",
    [
        b"X-Forwarded-For",
        b"x-forwarded-anything",
        b"X_Forwarded_For",
        b"X-Forwarded_Host",
        b"Forwarded",
        b"X-Real-IP",
        b"x_real_ip",
        b"Proxy",
        b"Proxy-Authorization",
        b"Proxy-Connection",
        b"Keep-Alive",
        b"HTTP2-Settings",
        b"Transfer_Encoding",
        b"Content_Length",
    ],
)
def test_what_only_a_relay_may_say_is_not_passed_on(name: bytes) -> None:
    """Forwarding, hop-by-hop and proxy headers, in any case and with underscores too."""
    assert request_kind(name) != PASS


def test_an_underscore_host_is_no_host() -> None:
    """It is dropped, not read."""
    assert request_kind(b"Host") == HOST
    assert request_kind(b"Content_Length") == DROP
    assert request_kind(b"Keep_Alive") == DROP


@pytest.mark.parametrize(
    "name", [b"Cookie", b"Authorization", b"X_Custom", b"Forwarded-Foo", b"X-Forward", b"Expect-CT"]
)
def test_other_headers_pass(name: bytes) -> None:
    """Whatever their case, and however long."""
    assert request_kind(name) == PASS
    assert request_kind(name + b"a" * 100) == PASS
    assert response_kind(name) == PASS


def test_a_long_name_is_judged_like_a_short_one() -> None:
    """The cache is not part of the rule."""
    assert request_kind(b"X-Forwarded-" + b"a" * 200) == DROP


def test_forwarded_names_visitor_scheme_and_host() -> None:
    """RFC 7239 quotes what is no token."""
    assert forwarded("192.0.2.7", "https", b"app.relay.test:7070").lines == (
        b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app.relay.test:7070\r\n"
        b'Forwarded: for=192.0.2.7;host="app.relay.test:7070";proto=https\r\n'
        b"Via: 1.1 egtunnel\r\n"
    )


def test_an_ipv6_address_is_bracketed_and_loses_its_zone() -> None:
    """In Forwarded only; X-Forwarded-For has it plain."""
    lines = forwarded("fe80::1%eth0", "http", b"a").lines
    assert b"X-Forwarded-For: fe80::1\r\n" in lines
    assert b'for="[fe80::1]";' in lines


def test_a_visitor_without_address_is_unknown() -> None:
    """A Unix socket has none."""
    assert b"X-Forwarded-For" not in forwarded("", "http", b"a").lines
    assert b"for=unknown;" in forwarded("", "http", b"a").lines


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a=b; Path=/", b"a=b; Path=/"),
        (b"a=b; Domain=relay.test; Secure", b"a=b; Secure"),
        (b"a=b; domain=.RELAY.test", b"a=b"),
        (b"a=b; Domain=test; Path=/", b"a=b; Path=/"),
        (b"a=b; Domain=app.relay.test", b"a=b; Domain=app.relay.test"),
        (b"a=b; Domain=other.test", b"a=b; Domain=other.test"),
        (b"domain=relay.test; Path=/", b"domain=relay.test; Path=/"),
        (b"a=b; Domain=", b"a=b; Domain="),
    ],
)
def test_no_tunnel_sets_a_cookie_for_all_tunnels(value: bytes, expected: bytes) -> None:
    """A Domain that equals or contains the relay's is taken out; the cookie stays."""
    assert fence_cookie(value, "relay.test") == expected


def test_framing_routing_and_credentials_are_no_trailers() -> None:
    """RFC 9110 section 6.5.1."""
    fields = [
        (b"Content-Length", b"1"),
        (b"host", b"a"),
        (b"Authorization", b"x"),
        (b"X-Sum", b"1"),
        (b"Content_Length", b"2"),
    ]
    assert trailers_to_pass([*fields, (b"X-Forwarded-For", b"6.6.6.6")]) == [(b"X-Sum", b"1")]


def test_lists_are_read_in_lower_case_and_without_empty_members() -> None:
    """RFC 9110 section 5.6.1."""
    assert list_members(b" Close,, Keep-Alive\t,") == (b"close", b"keep-alive")
    assert without([(b"X-A", b"1"), (b"x-b", b"2")], [b"x-a"]) == [(b"x-b", b"2")]
