"""Responses whose end could be seen in two places, or whose heads could be split: 502, or made plain; nobody else's.

After each of them comes another visitor, whose answer has to be its own. What a reader of responses makes of single
bytes is in test_responses.py, which connections are kept otherwise in test_pool.py.
"""

from __future__ import annotations

import pytest

from tests.ingress.http.world import Answer, Pipe, World, answers, get

OK = b"HTTP/1.1 200 OK\r\n"
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


def with_fields(text: str, body: bytes = b"hello") -> bytes:
    """A response of this header section."""
    return OK + text.encode("latin-1") + b"\r\n\r\n" + body


def with_line(text: str) -> bytes:
    """A response of this first line."""
    return text.encode("latin-1") + b"\r\nContent-Length: 5\r\n\r\nhello"


def asked(method: str = "GET") -> tuple[World, Pipe]:
    """A world in which a visitor has asked, and the visitor."""
    world = World()
    return world, world.visitor(f"{method} / HTTP/1.1\r\nHost: app.relay.test\r\n\r\n".encode())


def answer_in_pieces(far: Pipe, response: bytes, size: int) -> None:
    """The upstream sends a response, as long as somebody listens."""
    for start in range(0, len(response), size):
        if not far.lost:
            far.send(response[start : start + size])


def only(visitor: Pipe, method: str = "GET") -> Answer:
    """The one answer a visitor got."""
    final = [one for one in answers(visitor.taken, heads=lambda index: method == "HEAD") if one.status >= 200]
    assert len(final) == 1
    return final[0]


def next_visitor_gets_its_own(world: World) -> bool:
    """Another visitor is answered, and by nobody else's bytes; whether on the connection that was there before."""
    before = world.far
    visitor = world.visitor(get("/next"))
    assert b"GET /next " in world.far.taken
    world.far.send(NEXT)
    answer = only(visitor)
    assert (answer.status, answer.body, answer.complete) == (200, b"next", True)
    return world.far is before


LENGTHS = (
    '5\r\nContent-Length: 6|5\r\nContent-Length: 5|5\r\ncontent-length: 0|5, 5|5,6|5,|,5|+5|-5|-0|0x5|5_0|5 0||"5"|5;'
    "|5.0|\x0b5|\xa05|5\0|18446744073709551621|9223372036854775808|" + "1" * 40 + "|\r\n 5|5\r\n 0|\n5|\r5|5\r"
).split("|")
CODINGS = (
    'gzip|identity|xchunked|chunked, identity|identity, chunked|gzip, chunked|chunked, chunked|"chunked"|\x0bchunked'
    "|chunked\0|chunked;q=1|chunked,|,chunked||chunked\t|chunked \t|chunked\t |\r\n chunked"
    "|chunked\r\nTransfer-Encoding: chunked|chunked\r\nTransfer-Encoding: identity"
    "|chunked\r\nContent-Length: 5|chunked\r\nContent-Length: 5\r\nConnection: Content-Length"
).split("|")
FIELDS = (
    "X-A: b\r\n c|X-A: b\r\n\tc| X-A: b|X-A: b\0c|X\0A: b|X-A: b\nX-B: c|X-A: b\rX-B: c|X-A: b\r|X A: b|X-A : b|X-A|: b"
    "|X\xffA: b|X[A]: b|X-A: b\x01c|X-A: b\x7fc|X-A: b\x0bc|Location: /a\rSet-Cookie: evil=1"
    "|Location: /a\nSet-Cookie: evil=1|Location: /a\r\n\tSet-Cookie: evil=1"
    "|Content-Length : 0|Transfer-Encoding : chunked|\nTransfer-Encoding: chunked"
).split("|")
LINES = (
    "http/1.1 200 OK|HTTP/2 200 OK|HTTP/2.0 200 OK|HTTP/1.2 200 OK|HTTP/0.9 200 OK|HTTP/1.10 200 OK|ICY 200 OK"
    "|HTTP/1.1  200 OK"
    "|HTTP/1.1\t200 OK|HTTP/1.1 99 OK|HTTP/1.1 1000 OK|HTTP/1.1 000 OK|HTTP/1.1 +20 OK|HTTP/1.1 2xx OK"
    "|HTTP/1.1 200OK| HTTP/1.1 200 OK"
    "|HTTP/1.1 200 O\rK|<html>|GET / HTTP/1.1|HTTP/1.1 200 OK\n"
).split("|")
INFORMATIONAL = [f"HTTP/1.1 {status}\r\n" for status in ("100 Continue", "102 Processing", "103 Hints", "199 Other")]
BROKEN = [
    *[with_fields(f"Content-Length: {value}") for value in LENGTHS],
    *[with_fields(f"Transfer-Encoding: {value}", CHUNKS) for value in CODINGS],
    *[with_fields(f"{line}\r\nContent-Length: 5") for line in FIELDS],
    *[with_line(line) for line in LINES],
    with_fields("Content-Length: 5\r\nTransfer-Encoding: chunked", CHUNKS),
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"HTTP/1.1 204 No\r\nContent-Length: 42\r\n\r\n" + EVIL,
    *[line.encode() + b"Content-Length: 5\r\n\r\nhello" + NEXT for line in INFORMATIONAL],
    *[line.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS + NEXT for line in INFORMATIONAL],
    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + EVIL,
    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + EVIL,
    NEXT.replace(b"\r\n", b"\n"),
    NEXT.replace(b"\r\n", b"\r"),
    OK + b"Content-Length: 5\r\n\nhello",
    OK + b"Content-Length: 5\r\n\rhello",
    OK + b"Content-Length: 5\n\r\nhello",
]


@pytest.mark.parametrize("response", BROKEN)
@pytest.mark.parametrize("size", [65_536, 1])
def test_a_head_that_can_be_read_in_two_ways_is_502(response: bytes, size: int) -> None:
    """In one piece or byte by byte; the connection is broken off, and the next visitor has another."""
    world, visitor = asked()
    answer_in_pieces(world.far, response, size)
    answer = only(visitor)
    assert (answer.status, answer.word) == (502, "upstream-broke")
    assert b"evil" not in visitor.taken
    assert world.far.aborted
    assert not next_visitor_gets_its_own(world)


@pytest.mark.parametrize(
    "body",
    [
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;a=\nb\r\nhello\r\n0\r\n\r\n",
        '5;a="\r\nhello\r\n0\r\n\r\n"\r\nhello\r\n0\r\n\r\n',
        "5\r\nhello\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-T: u\n\r\n",
        "5\r\nhello\r\n0\r\n X-T: u\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-T: u\r\n v\r\n\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
        "5\r\nhello\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [65_536, 1])
def test_chunks_that_can_be_read_in_two_ways_are_no_whole_body(body: str, size: int) -> None:
    """502 where nothing has gone to the visitor, else its connection ends short of the end of the body."""
    world, visitor = asked()
    answer_in_pieces(world.far, OK + b"Transfer-Encoding: chunked\r\n\r\n" + body.encode(), size)
    answer = only(visitor)
    assert answer.status == 502 or not answer.complete
    assert visitor.lost or answer.complete
    assert world.far.aborted
    assert not next_visitor_gets_its_own(world)


@pytest.mark.parametrize(
    ("response", "body"),
    [
        (with_fields("Content-Length: 005"), b"hello"),
        (with_fields("Content-Length:\t5 "), b"hello"),
        (with_fields("Transfer-Encoding: CHUNKED", CHUNKS), b"hello"),
        (with_fields("Transfer-Encoding:chunked ", CHUNKS), b"hello"),
        (with_fields("Transfer-Encoding: \tchunked", CHUNKS), b"hello"),
        (with_fields("Content-Length: 5\r\nConnection: Content-Length"), b"hello"),
        (with_fields("Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding", CHUNKS), b"hello"),
        (with_fields("Transfer-Encoding: chunked", b"5;a=b\r\nhello\r\n00\r\n\r\n"), b"hello"),
        (with_fields("Transfer-Encoding: chunked\r\nContent_Length: 1", CHUNKS), b"hello"),
        (with_fields("Content-Length: 5\r\nTransfer_Encoding: chunked"), b"hello"),
        (with_fields(f"Content-Length: {len(EVIL)}", EVIL), EVIL),
        (with_line("HTTP/1.1 200"), b"hello"),
        (with_line("HTTP/1.1 200 O\0K"), b"hello"),
        (with_line("HTTP/1.1 200 OK Content-Length: 9"), b"hello"),
        (b"\r\n" + with_fields("Content-Length: 5"), b"hello"),
        (INFORMATIONAL[2].encode() + b"Content-Length: 0\r\n\r\n" + with_fields("Content-Length: 5"), b"hello"),
    ],
)
@pytest.mark.parametrize("size", [65_536, 1])
def test_what_has_one_meaning_is_framed_anew(response: bytes, body: bytes, size: int) -> None:
    """One length or chunks, as a strict reader asks for; the connection is kept."""
    world, visitor = asked()
    answer_in_pieces(world.far, response, size)
    answer = only(visitor)
    assert (answer.status, answer.body, answer.complete) == (200, body, True)
    assert ("content-length" in answer.headers) != ("transfer-encoding" in answer.headers)
    assert "connection" not in answer.headers
    assert b"\0" not in visitor.taken
    assert next_visitor_gets_its_own(world)


@pytest.mark.parametrize(
    ("method", "response"),
    [
        ("GET", with_fields("Content-Length: 5")),
        ("GET", with_fields("Content-Length: 0", b"")),
        ("GET", with_fields("Transfer-Encoding: chunked", CHUNKS)),
        ("GET", b"HTTP/1.1 204 No\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not\r\nContent-Length: 42\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", with_fields("Content-Length: 42", b"")),
        ("HEAD", with_fields("Transfer-Encoding: chunked", b"")),
    ],
)
@pytest.mark.parametrize("more", [EVIL, b"evil", EVIL[:20], b"HTTP/1.1 100 Continue\r\n\r\n", CHUNKS, b"\0"])
@pytest.mark.parametrize("size", [65_536, 1])
def test_bytes_behind_a_response_are_nobodys(method: str, response: bytes, more: bytes, size: int) -> None:
    """They come with it or after it: no visitor gets them, neither this one nor the next, and the connection is closed.

    Without them it is.
    """
    world, visitor = asked(method)
    answer_in_pieces(world.far, response + more, size)
    assert only(visitor, method).complete
    assert b"evil" not in visitor.taken
    assert world.far.lost
    assert not next_visitor_gets_its_own(world)
    world, visitor = asked(method)
    answer_in_pieces(world.far, response, size)
    assert next_visitor_gets_its_own(world)


def test_a_204_that_speaks_of_chunks_ends_its_connection() -> None:
    """They might still come, as the beginning of somebody's response (RFC 9112 section 6.1 forbids them)."""
    world, visitor = asked()
    world.far.send(b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert visitor.taken == b"HTTP/1.1 204 No\r\n\r\n"
    assert world.far.lost
    assert not next_visitor_gets_its_own(world)


def test_a_blank_line_in_a_header_ends_the_head_and_its_rest_is_body() -> None:
    """A service that lets visitors write its headers: what they add is at most a body, never a second response."""
    world, visitor = asked()
    world.far.send(OK + b"X-A: b\r\n\r\n" + EVIL)
    world.far.finish()
    assert only(visitor).body == EVIL
    assert not next_visitor_gets_its_own(world)


def test_a_response_without_a_request_answers_nobody() -> None:
    """It comes on a kept connection before the next request, whole or in part."""
    for early in (EVIL, EVIL[:1], b"\r\n"):
        world, visitor = asked()
        world.far.send(NEXT)
        assert only(visitor).body == b"next"
        world.far.send(early)
        assert world.far.lost
        assert not next_visitor_gets_its_own(world)


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_a_response_before_the_end_of_the_request_ends_the_connection(framing: str) -> None:
    """The rest of that body would be read as the next request, so no other visitor's request goes there."""
    world = World()
    visitor = world.visitor(f"POST / HTTP/1.1\r\nHost: app.relay.test\r\n{framing}\r\n\r\n5\r\nhe".encode())
    world.far.send(NEXT)
    assert only(visitor).body == b"next"
    first = world.far
    assert not next_visitor_gets_its_own(world)
    assert b"/next" not in first.taken


def test_headers_that_speak_for_the_relay_do_not_come_from_the_upstream() -> None:
    """Nor hop-by-hop ones, nor trailers that decide anything."""
    world, visitor = asked()
    fields = (
        "Transfer-Encoding: chunked\r\nX-Egtunnel-Error: evil\r\nUpgrade: h2c\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1"
    )
    trailers = b"X-Egtunnel-Error: evil\r\nSet-Cookie: evil=1\r\nTransfer-Encoding: chunked\r\nX-T: u\r\n"
    world.far.send(with_fields(fields, b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"))
    answer = only(visitor)
    assert set(answer.headers) == {"transfer-encoding"}
    assert (answer.body, answer.trailers) == (b"hello", "X-T: u")
    assert next_visitor_gets_its_own(world)
