"""What an upstream gets of a request, and a visitor of its response."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ingress.http.world import World, answers, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FORWARDED = (
    b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: app.relay.test\r\n"
    b'Forwarded: for=192.0.2.7;host="app.relay.test";proto=http\r\n'
    b"Via: 1.1 egtunnel\r\n"
)


def post(*headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """A POST request."""
    head = "\r\n".join([f"POST /p HTTP/{version}", "Host: app.relay.test", *headers, "", ""])
    return head.encode("latin-1") + body


def test_a_request_goes_on_with_its_headers_as_they_are_and_the_relays_word() -> None:
    """Names keep their case, the path its bytes."""
    seen, got = World().ask(get("/a//../b%2F?c=d|e", "app.relay.test", "Cookie: a=b", "X-UPPER: c "), OK)
    assert seen == (
        b"GET /a//../b%2F?c=d|e HTTP/1.1\r\nHost: app.relay.test\r\nCookie: a=b\r\nX-UPPER: c \r\n"
        + FORWARDED
        + b"\r\n"
    )
    assert got == OK


def test_the_visitor_is_named_to_the_dialer() -> None:
    """Address and public name, once for each request."""
    world = World()
    world.ask(get(), OK)
    (visitor,) = world.app.visitors
    assert (visitor.kind, visitor.host, visitor.port, visitor.name) == ("http", "192.0.2.7", 4711, "app")


def test_a_mapped_address_is_told_as_what_it_is() -> None:
    """An IPv4 visitor of an IPv6 socket."""
    world = World()
    world.visitor(get(), host="::ffff:192.0.2.9")
    assert b"X-Forwarded-For: 192.0.2.9\r\n" in world.far.taken


def test_hop_by_hop_headers_end_at_the_relay() -> None:
    """Both those that are always so and those that Connection names; the relay's own cannot be named away."""
    request = get(
        "/",
        "app.relay.test",
        "Connection: X-Mine, Host, X-Forwarded-For, Content-Length, keep-alive",
        "X-Mine: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authorization: x",
        "X-Forwarded-For: 6.6.6.6",
        "X_Forwarded_For: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "TE: gzip",
    )
    seen, _ = World().ask(request, OK)
    assert seen == b"GET / HTTP/1.1\r\nHost: app.relay.test\r\n" + FORWARDED + b"\r\n"


def test_te_trailers_is_passed_on_as_the_relays_own_wish() -> None:
    """Other transfer codings are not."""
    seen, _ = World().ask(get("/", "app.relay.test", "TE: gzip, trailers;q=1", "Connection: TE"), OK)
    assert b"TE: trailers\r\nConnection: TE\r\n" in seen


def test_h2c_is_served_as_plain_http() -> None:
    """RFC 9113 took that upgrade away; the request goes on without it, with its body."""
    headers = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA")
    for request in (
        post(*headers, "Content-Length: 5", body=b"hello"),
        post(*headers, "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        get("/", "app.relay.test", *headers),
    ):
        seen, got = World().ask(request, OK)
        assert b"h2c" not in seen
        assert b"HTTP2" not in seen
        assert b"Connection" not in seen
        assert (b"hello" in seen) == request.startswith(b"POST")
        assert answers(got)[0].body == b"ok"


def test_a_request_after_an_h2c_one_is_read_too() -> None:
    """Nothing is lost behind the head that asked for an upgrade."""
    world = World()
    first = post("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 5", body=b"hello")
    visitor = world.visitor(first + get("/second"))
    world.far.send(OK)
    assert b"GET /second HTTP/1.1\r\n" in world.far.taken
    world.far.send(OK)
    assert [answer.status for answer in answers(visitor.take())] == [200, 200]


def test_the_host_is_rewritten_if_the_tunnel_asks() -> None:
    """What the visitor asked for is still told."""
    world = World()
    world.app.host_header = "localhost:5173"
    seen, _ = world.ask(get(), OK)
    assert b"\r\nHost: localhost:5173\r\n" in seen
    assert b"X-Forwarded-Host: app.relay.test\r\n" in seen


def test_an_absolute_target_that_agrees_goes_on_in_origin_form() -> None:
    """RFC 9112 section 3.2.2: a server must take it."""
    seen, _ = World().ask(get("http://APP.relay.test:80?q"), OK)
    assert seen.startswith(b"GET /?q HTTP/1.1\r\n")


def test_a_custom_host_reaches_its_tunnel() -> None:
    """By its whole name."""
    world = World()
    world.visitor(get("/", "WWW.custom.test:80"))
    assert world.custom.upstreams[-1].taken.startswith(b"GET / HTTP/1.1\r\nHost: WWW.custom.test:80\r\n")


def test_a_body_with_a_length_keeps_it() -> None:
    """Its bytes go on as they come."""
    world = World()
    visitor = world.visitor(post("Content-Length: 10", body=b"hello"))
    assert world.far.take().endswith(b"Content-Length: 10\r\n" + FORWARDED + b"\r\nhello")
    visitor.send(b"world")
    assert world.far.take() == b"world"


def test_a_length_is_written_as_a_plain_number() -> None:
    """Leading zeros are not passed on."""
    seen, _ = World().ask(post("Content-Length: 0005", body=b"hello"), OK)
    assert b"Content-Length: 5\r\n" in seen


def test_a_chunked_body_is_chunked_anew_with_its_trailers() -> None:
    """Extensions end here; so do trailers that mean something to framing, routing or identity."""
    world = World()
    visitor = world.visitor(post("Transfer-Encoding: Chunked", body=b"5;a=b\r\nhello\r\n"))
    assert world.far.take().endswith(b"Transfer-Encoding: chunked\r\n" + FORWARDED + b"\r\n5\r\nhello\r\n")
    visitor.send(b"1\r\n!\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
    assert world.far.take() == b"1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"


def test_expect_100_continue_is_answered_by_the_upstream() -> None:
    """The relay invents no 100; it passes it on, and then the body."""
    world = World()
    visitor = world.visitor(post("Expect: 100-continue", "Content-Length: 2"))
    assert b"Expect: 100-continue\r\n" in world.far.take()
    assert visitor.take() == b""
    world.far.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert visitor.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    visitor.send(b"hi")
    assert world.far.take() == b"hi"
    world.far.send(OK)
    assert visitor.take() == OK


def test_informational_responses_go_on_but_not_to_http_1_0() -> None:
    """RFC 9110 section 15.2."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    _, got = World().ask(get(), early + OK)
    assert got == early + OK
    _, got = World().ask(get(version="1.0"), early + OK)
    assert [answer.status for answer in answers(got)] == [200]


def test_a_chunked_response_is_chunked_anew_with_its_trailers() -> None:
    """A trailer that only a head may hold is left out."""
    world = World()
    visitor = world.visitor(get())
    world.far.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;x=y\r\nabc\r\n")
    assert visitor.take() == b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    world.far.send(b"0\r\nX-Sum: 3\r\nSet-Cookie: a=b\r\n\r\n")
    assert visitor.take() == b"0\r\nX-Sum: 3\r\n\r\n"
    assert not visitor.lost


def test_a_chunked_response_ends_with_the_connection_for_http_1_0() -> None:
    """It knows no chunks."""
    _, got = World().ask(
        get(version="1.0"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    assert got == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"


def test_a_response_ended_by_close_becomes_chunked() -> None:
    """So the visitor's connection can go on, and a break would show."""
    world = World()
    visitor = world.visitor(get())
    world.far.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
    world.far.send(b"def")
    world.far.finish()
    (answer,) = answers(visitor.take())
    assert (answer.body, answer.complete) == (b"abcdef", True)
    assert not visitor.lost
    assert world.far.lost


def test_a_body_ended_by_a_break_is_not_complete() -> None:
    """Nobody takes it for the whole: it has no last chunk, or, for HTTP/1.0, no orderly end."""
    for version in ("1.1", "1.0"):
        world = World()
        visitor = world.visitor(get(version=version))
        world.far.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        world.far.break_off()
        assert visitor.lost
        assert visitor.aborted == (version == "1.0")
        assert answers(visitor.taken)[0].complete == (version == "1.0")


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc",
    ],
)
@pytest.mark.parametrize("end", ["finish", "break_off"])
def test_a_break_in_mid_body_is_passed_on_as_a_break(response: bytes, end: str) -> None:
    """The visitor gets what there was, in the buffer too, and no end of it."""
    world = World()
    visitor = world.visitor(get())
    visitor.stuck = True
    world.far.send(response)
    getattr(world.far, end)()
    assert not visitor.lost
    visitor.stuck = False
    visitor.flush()
    assert visitor.lost
    (answer,) = answers(visitor.taken)
    assert (answer.body, answer.complete) == (b"abc", False)


def test_a_malformed_chunk_in_mid_body_is_passed_on_as_a_break() -> None:
    """The head had gone already."""
    world = World()
    visitor = world.visitor(get())
    world.far.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    world.far.send(b"zz\r\n")
    assert visitor.lost
    assert not answers(visitor.taken)[0].complete
    assert world.far.aborted


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n"),
    ],
)
def test_a_response_to_head_has_no_body_whatever_it_says(response: bytes, expected: bytes) -> None:
    """And the next request on the connection is answered."""
    world = World()
    visitor = world.visitor(b"HEAD / HTTP/1.1\r\nHost: app.relay.test\r\n\r\n")
    world.far.send(response)
    assert visitor.take() == expected
    visitor.send(get("/next"))
    world.far.send(OK)
    assert visitor.take() == OK


def test_a_body_that_follows_a_response_to_head_ends_the_upstreams_connection() -> None:
    """It could be taken for the next response."""
    world = World()
    visitor = world.visitor(b"HEAD / HTTP/1.1\r\nHost: app.relay.test\r\n\r\n")
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n" + OK)
    assert answers(visitor.take(), heads=lambda index: True)[0].headers["content-length"] == "38"
    assert world.far.lost
    visitor.send(get())
    assert world.app.dials == 2


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        ),
    ],
)
def test_204_and_304_end_with_their_heads(response: bytes, expected: bytes) -> None:
    """No length on a 204; on a 304 the one that a 200 would have."""
    world = World()
    visitor = world.visitor(get())
    world.far.send(response)
    assert visitor.take() == expected
    visitor.send(get())
    assert world.app.dials == 1


def test_a_response_loses_what_was_for_the_relay_alone() -> None:
    """Hop-by-hop headers of the response, and a reason that holds control bytes."""
    response = (
        b"HTTP/1.1 200 O\x01K\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n"
        b"Proxy-Authenticate: x\r\nUpgrade: h2c\r\nContent-Length: 2\r\nX-End: 2\r\n\r\nok"
    )
    _, got = World().ask(get(), response)
    assert got == b"HTTP/1.1 200 \r\nX-End: 2\r\nContent-Length: 2\r\n\r\nok"


def test_cookies_are_fenced_in() -> None:
    """A tunnel sets none for the relay's whole domain."""
    _, got = World().ask(
        get(), b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Domain=relay.test\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n"
    )
    assert got == b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("version", "headers", "kept", "said"),
    [
        ("1.1", (), True, None),
        ("1.1", ("Connection: close",), False, "close"),
        ("1.0", (), False, "close"),
        ("1.0", ("Connection: keep-alive",), True, "keep-alive"),
    ],
)
def test_the_connection_is_kept_as_the_visitor_wishes(
    version: str, headers: tuple[str, ...], kept: bool, said: str | None
) -> None:
    """By version and Connection (RFC 9112 section 9.3)."""
    world = World()
    visitor = world.visitor(get("/", "app.relay.test", *headers, version=version))
    world.far.send(OK)
    (answer,) = answers(visitor.taken)
    assert (answer.headers.get("connection"), visitor.lost) == (said, not kept)
    assert not visitor.aborted


UPLOAD = post("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-T: u\r\n\r\n") + get("/next")
DOWNLOAD = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n"
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data, cut at these places."""
    places = sorted({cut % len(data) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(st.lists(st.integers(0, 400), max_size=15), st.lists(st.integers(0, 400), max_size=15))
def test_any_cut_of_both_sides_bytes_gives_the_same(asked: list[int], answered: list[int]) -> None:
    """From end to end: two requests, two responses, the same heads, bodies and trailers."""
    world = World()
    visitor = world.visitor()
    for piece in pieces(UPLOAD, asked):
        visitor.send(piece)
    for response in (DOWNLOAD, OK):
        for piece in pieces(response, answered):
            world.far.send(piece)
    hints, first, second = answers(visitor.taken)
    assert (hints.status, first.status, first.body, first.trailers) == (103, 200, b"abcdefg", "X-Sum: 7")
    assert (second.status, second.body) == (200, b"ok")
    head, _, rest = world.far.taken.partition(b"\r\n\r\n")
    body, _, following = rest.partition(b"0\r\nX-T: u\r\n\r\n")
    assert head.endswith(FORWARDED.rstrip())
    assert b"".join(body.split(b"\r\n")[1::2]) == b"hello world"
    assert following.startswith(b"GET /next HTTP/1.1\r\n")
