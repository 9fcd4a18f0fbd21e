"""The reader of requests: any cut of the bytes gives the same, and every limit holds."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.parser import End
from egtunnel.ingress.http.refusals import Refusal
from egtunnel.ingress.http.requests import RequestReader
from tests.ingress.http.world import get

Story = list[Any]


def told(pieces: list[bytes], **limits: Any) -> Story:
    """What a reader tells of these pieces; bodies joined, for their cut follows the bytes'."""
    reader = RequestReader(HTTPLimits(**limits))
    events: deque[object] = deque()
    for piece in pieces:
        reader.feed(piece, events)
    story: Story = []
    for event in events:
        if isinstance(event, RequestHead):
            story.append((event.method, event.target, event.fields, event.length, event.chunked, event.keep_alive))
        elif isinstance(event, End):
            story.append(("end", event.trailers))
        elif isinstance(event, Refusal):
            story.append(event.status)
        elif isinstance(event, bytes) and story and isinstance(story[-1], bytes):
            story[-1] += event
        else:
            story.append(event)
    return story


POST = b"POST /%d HTTP/1.1\r\nHost: a\r\n"
REQUESTS = st.one_of(
    st.sampled_from([get("/g", "a"), b"\r\n" + get("/h", "a", "X-A: b"), get("/last", "a", "Connection: close")]),
    st.binary(max_size=300).map(lambda body: POST % 1 + b"Content-Length: %d\r\n\r\n" % len(body) + body),
    st.lists(st.binary(min_size=1, max_size=40), max_size=5).map(
        lambda chunks: (
            POST % 2
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x;e=f\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
            + b"0\r\nX-T: u\r\n\r\n"
        )
    ),
    st.binary(max_size=30).map(
        lambda body: POST % 3 + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    ),
    st.just(
        POST % 4 + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    ),
    st.sampled_from(
        [b"BREW / HTTP/1.1\r\n\r\n", POST % 5 + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"\x16\x03\x01"]
    ),
)


@given(st.lists(REQUESTS, max_size=5), st.lists(st.integers(0, 600), max_size=12))
def test_any_cut_of_the_bytes_tells_the_same(requests: list[bytes], cuts: list[int]) -> None:
    """One read, any reads, byte by byte."""
    data = b"".join(requests)
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    whole = told([data])
    assert told(pieces) == whole
    assert told([data[index : index + 1] for index in range(len(data))]) == whole


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything(data: bytes) -> None:
    """Whatever comes ends in events."""
    told([data, data])


def test_a_body_is_told_as_it_comes() -> None:
    """Nothing is collected."""
    reader = RequestReader(HTTPLimits())
    events: deque[object] = deque()
    reader.feed(POST % 1 + b"Content-Length: 9\r\n\r\nabc", events)
    assert events.pop() == b"abc"
    reader.feed(b"def", events)
    assert events.pop() == b"def"
    assert reader.within_body
    reader.feed(b"ghi" + get("/next", "a"), events)
    assert [type(event).__name__ for event in events] == ["RequestHead", "bytes", "End", "RequestHead", "End"]


def test_a_last_request_is_the_last() -> None:
    """What follows is neither read nor refused."""
    close = get("/", "a", "Connection: close")
    assert len(told([close + get("/2", "a")])) == 2
    assert len(told([close, get("/2", "a"), b"garbage"])) == 2


def test_an_upgrade_makes_it_stop_and_wait() -> None:
    """What follows may be of another protocol; if not, it is the next request."""
    reader = RequestReader(HTTPLimits())
    events: deque[object] = deque()
    reader.feed(get("/", "a", "Connection: Upgrade", "Upgrade: websocket") + b"\x81\x00", events)
    assert (reader.waiting, reader.rest) == (True, b"\x81\x00")
    reader.go_on()
    reader.feed(get("/next", "a"), events)
    assert len(events) == 4
    assert not reader.waiting


@pytest.mark.parametrize(
    ("limits", "request_", "expected"),
    [
        ({"target": 10}, get("/" + "a" * 9, "a"), None),
        ({"target": 10}, get("/" + "a" * 10, "a"), 414),
        ({"headers": 3}, get("/", "a", "A: 1", "B: 1"), None),
        ({"headers": 3}, get("/", "a", "A: 1", "B: 1", "C: 1"), 431),
        ({"header": 50}, get("/", "a", "A: " + "1" * 49), None),
        ({"header": 50}, get("/", "a", "A: " + "1" * 50), 431),
        ({"header": 50}, get("/", "a", "A" * 50 + ": 1"), 431),
        ({"head": 190, "header": 90}, get("/", "a", "A: " + "1" * 80, "B: " + "1" * 80), 431),
        ({"trailers": 1}, POST % 1 + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\n\r\n", None),
        ({"trailers": 1}, POST % 1 + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\nB: 1\r\n\r\n", 400),
        ({"overhead": 50}, POST % 1 + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: %b\r\n\r\n" % (b"1" * 50), 400),
    ],
)
def test_each_limit_holds_and_no_more(limits: dict[str, int], request_: bytes, expected: int | None) -> None:
    """Up to the limit all is well, beyond it the status says which one it was."""
    story = told([request_], **limits)
    assert story[-1] == expected if expected else story[-1][0] == "end"


@pytest.mark.parametrize(
    ("start", "more", "status"),
    [
        (b"GET /", b"a" * 100, 414),
        (b"GET / HTTP/1.1\r\nA: ", b"a" * 100, 431),
        (b"GET / HTTP/1.1\r\n", b"a" * 100, 431),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 20, 431),
        (POST % 1 + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 100, 400),
        (POST % 1 + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: ", b"a" * 100, 400),
        (POST % 1 + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 20, 400),
    ],
    ids=["target", "value", "name", "headers", "extension", "trailer", "trailers"],
)
def test_what_never_ends_is_refused_on_the_way(start: bytes, more: bytes, status: int) -> None:
    """Bytes are counted as they come; a head or trailer without end fills no memory."""
    story = told([start, *[more] * 1000], target=500, head=2000, overhead=2000)
    assert story[-1] == status


def test_many_small_chunks_are_no_offence() -> None:
    """What each chunk needs is not counted against it."""
    body = b"1\r\na\r\n" * 10_000
    story = told([POST % 1 + b"Transfer-Encoding: chunked\r\n\r\n", *[body] * 3, b"0\r\n\r\n"], overhead=100)
    assert story[1:] == [b"a" * 30_000, ("end", [])]
