"""Heads of requests and responses: what is refused, and with which status."""

from __future__ import annotations

import pytest

from egtunnel.ingress.http.head import read_request, read_response
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.refusals import RequestRefused

HOST = (b"Host", b"app.relay.test")


def refused(method: bytes = b"GET", url: bytes = b"/", version: str = "1.1", fields: Fields | None = None) -> int:
    """The status with which it is refused; 0: it is not."""
    try:
        read_request(method, url, version, True, [HOST] if fields is None else fields)
    except RequestRefused as error:
        return error.refusal.status
    return 0


@pytest.mark.parametrize(
    ("url", "method", "status"),
    [
        (b"/", b"GET", 0),
        (b"//a", b"GET", 0),
        (b"*", b"OPTIONS", 0),
        (b"*", b"GET", 400),
        (b"*a", b"OPTIONS", 400),
        (b"/a#b", b"GET", 400),
        (b"http://app.relay.test/", b"GET", 0),
        (b"https://app.relay.test", b"GET", 0),
        (b"HTTP://APP.relay.test:80?x", b"GET", 0),
        (b"http://app.relay.test:81/", b"GET", 400),
        (b"http://other.test/", b"GET", 400),
        (b"http://u@app.relay.test/", b"GET", 400),
        (b"http:///", b"GET", 400),
        (b"ftp://app.relay.test/", b"GET", 400),
        (b"app.relay.test:80", b"CONNECT", 405),
    ],
)
def test_the_target_is_a_path_or_names_the_host(url: bytes, method: bytes, status: int) -> None:
    """RFC 9112 section 3.2."""
    assert refused(method, url) == status


@pytest.mark.parametrize(("version", "status"), [("1.1", 0), ("1.0", 0), ("0.9", 400), ("2.0", 505)])
def test_two_versions_are_spoken(version: str, status: int) -> None:
    """Others are told so."""
    assert refused(version=version) == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(b"Content-Length", b"0")], 0),
        ([(b"Content-Length", b" 12\t")], 0),
        ([(b"content-length", b"1"), (b"Content-Length", b"1")], 400),
        ([(b"Content-Length", b"1, 1")], 400),
        ([(b"Content-Length", b"")], 400),
        ([(b"Content-Length", b"+1")], 400),
        ([(b"Content-Length", b"1_0")], 400),
        ([(b"Content-Length", b"\xb2")], 400),
        ([(b"Content-Length", b"9223372036854775807")], 0),
        ([(b"Content-Length", b"9223372036854775808")], 400),
        ([(b"Content-Length", b"1" * 4000)], 400),
        ([(b"Transfer-Encoding", b"chunked ")], 0),
        ([(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")], 400),
        ([(b"Transfer-Encoding", b",chunked")], 400),
        ([(b"Transfer-Encoding", b"gzip, chunked")], 400),
        ([(b"Transfer-Encoding", b"identity")], 400),
        ([(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"1")], 400),
        ([HOST], 400),
    ],
)
def test_framing_is_one_plain_word(fields: Fields, status: int) -> None:
    """What the parser lets through is checked again; nothing depends on how it reads."""
    assert refused(b"POST", fields=[HOST, *fields]) == status


def test_http_1_0_knows_no_transfer_encoding() -> None:
    """RFC 9112 section 6.1: a sign of smuggling."""
    assert refused(b"POST", version="1.0", fields=[HOST, (b"Transfer-Encoding", b"chunked")]) == 400


def test_an_upgrade_needs_both_headers_and_no_body() -> None:
    """Otherwise the request is a plain one; h2c never counts."""
    upgrade = (b"Upgrade", b"WebSocket, h2c")
    connection = (b"Connection", b"keep-alive, Upgrade")
    length = (b"Content-Length", b"1")
    for fields, expected in (
        ([HOST, upgrade, connection], b"websocket"),
        ([HOST, upgrade], b""),
        ([HOST, connection], b""),
        ([HOST, upgrade, connection, length], b""),
        ([HOST, (b"Upgrade", b"h2c"), connection], b""),
    ):
        assert read_request(b"GET", b"/", "1.1", True, fields).upgrade == expected
    assert read_request(b"GET", b"/", "1.0", True, [HOST, upgrade, connection]).upgrade == b""


def test_how_long_an_upstream_keeps_a_connection_is_read() -> None:
    """From Keep-Alive, wherever in it."""
    for value, expected in (
        (b"timeout=5, max=100", 5.0),
        (b"max=3,Timeout=2", 2.0),
        (b"max=9", None),
        (b"xtimeout=3", None),
    ):
        fields = [(b"Content-Length", b"0"), (b"Keep-Alive", value)]
        assert read_response(200, b"OK", "1.1", True, fields, to_head=False, domain="relay.test").idle == expected
