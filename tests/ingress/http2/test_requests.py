"""Requests of HTTP/2 that are malformed, ambiguous or made for smuggling, and those that only look so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingress.http2.world import GET, POST, Fields, call, told

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "http2_requests.json").read_text()
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROTOCOL_ERROR = 1


def fields_of(pairs: list[list[Any]]) -> Fields:
    """A header section of a vector; a text and a number stand for the text so many times."""
    return [(name.encode("latin-1"), text_of(value).encode("latin-1")) for name, value in pairs]


def text_of(value: Any) -> str:
    """A value of a vector."""
    return value if isinstance(value, str) else value[0] * value[1]


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in VECTORS])
def test_a_request_is_refused_or_passed_on_as_exactly_one(vector: dict[str, Any]) -> None:
    """What is malformed is answered with 400 and a reset, or reset alone (RFC 9113 section 8.1.1); no upstream
    sees a complete request of it, and the connection goes on.
    """
    caller = call()
    body = vector["body"].encode("latin-1") if "body" in vector else None
    trailers = fields_of(vector["trailers"]) if "trailers" in vector else None
    number = caller.ask(fields_of(vector["head"]), body, trailers)
    whole = [far.take() for far in caller.world.app.upstreams if not far.aborted]
    if whole:
        caller.answer(OK)
    reply, answer = caller.reply(number), vector["answer"]
    if answer == "reset":
        assert (reply.status, reply.reset) == (0, PROTOCOL_ERROR)
    elif answer == 400:
        assert (reply.status, reply.word, reply.reset) == (400, "bad-request", PROTOCOL_ERROR)
    else:
        assert (reply.status, reply.ended, reply.reset) == (answer, True, None)
    assert len(whole) == (answer == 200)
    assert b"other.relay.test" not in b"".join(whole)
    assert caller.goaway == []
    assert caller.ask(GET)


def test_the_table_is_long() -> None:
    """Pseudo-header fields, names, values, lengths, trailers: each has its lines."""
    names = [vector["name"] for vector in VECTORS]
    assert len(names) == len(set(names)) >= 140


def test_a_request_of_a_tunnel_is_one_of_http_1() -> None:
    """:authority is Host; pseudo-header fields are gone, and who asked is told."""
    caller = call()
    caller.ask([*GET, (b"x-a", b"b"), (b"user-agent", b"test"), (b"x-forwarded-for", b"6.6.6.6")])
    first, headers, body = told(caller.seen)
    assert (first, headers["host"], headers["x-a"], body) == (b"GET / HTTP/1.1", "app.relay.test", "b", b"")
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("192.0.2.7", "http")
    assert headers["via"].startswith("2.0 ")
    assert not [name for name in headers if name.startswith(":")]


def test_cookies_in_crumbs_are_one_header() -> None:
    """RFC 9113 section 8.2.3: they go on to HTTP/1 joined with a semicolon."""
    caller = call()
    caller.ask([*GET, (b"cookie", b"a=b"), (b"x-a", b"b"), (b"cookie", b"c=d; e=f")])
    assert told(caller.seen)[1]["cookie"] == "a=b; c=d; e=f"


def test_a_body_without_length_is_chunked() -> None:
    """HTTP/1 has no other way to end it."""
    caller = call()
    caller.ask(POST, b"hello")
    _, headers, body = told(caller.seen)
    assert (headers["transfer-encoding"], body) == ("chunked", b"5\r\nhello\r\n0\r\n\r\n")
    assert "content-length" not in headers


def test_a_body_of_known_length_keeps_it() -> None:
    """Content-Length goes on, and the body bare."""
    caller = call()
    caller.ask([*POST, (b"content-length", b"5")], b"hello")
    _, headers, body = told(caller.seen)
    assert (headers["content-length"], body) == ("5", b"hello")
    assert "transfer-encoding" not in headers


def test_a_post_without_a_body_says_so() -> None:
    """Content-Length: 0, as servers want it (RFC 9110 section 8.6)."""
    caller = call()
    caller.ask(POST)
    assert told(caller.seen)[1]["content-length"] == "0"


def test_a_get_without_a_body_says_nothing_of_one() -> None:
    """Neither length nor chunks."""
    caller = call()
    caller.ask(GET)
    _, headers, _ = told(caller.seen)
    assert not {"content-length", "transfer-encoding"} & set(headers)


def test_a_body_that_grows_too_long_is_cut_at_once() -> None:
    """Nothing beyond the length that was promised reaches the upstream: it would be read as the next request."""
    caller = call()
    number = caller.open([*POST, (b"content-length", b"5")])
    far = caller.world.far
    caller.data(number, b"helloGET /other HTTP/1.1\r\n\r\n")
    assert caller.reply(number).reset == PROTOCOL_ERROR
    assert far.lost
    assert b"/other" not in far.taken


def test_a_body_that_stays_too_short_is_never_answered_from_a_kept_connection() -> None:
    """The upstream's connection is broken off, not kept for another request."""
    caller = call()
    number = caller.ask([*POST, (b"content-length", b"10")], b"12345", [(b"x-t", b"1")])
    assert caller.world.far.aborted
    assert caller.reply(number).reset == PROTOCOL_ERROR
    caller.ask(GET)
    assert len(caller.world.app.upstreams) == 2
