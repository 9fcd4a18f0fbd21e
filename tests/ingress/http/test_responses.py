"""The reader of responses: any cut of the bytes gives the same, and every limit holds."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.errors import UpstreamBroke
from egtunnel.ingress.http.head import ResponseHead
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.parser import End
from egtunnel.ingress.http.responses import ResponseReader

Story = list[Any]
OK = b"HTTP/1.1 200 OK\r\n"


def told(pieces: list[bytes], to_head: bool = False, **limits: Any) -> tuple[Story, bool]:
    """What a reader tells of these pieces, bodies joined, and whether the connection could be used again."""
    reader = ResponseReader(HTTPLimits(**limits), "relay.test")
    reader.expect(to_head)
    story: Story = []
    try:
        for piece in pieces:
            for event in reader.feed(piece):
                if isinstance(event, ResponseHead):
                    story.append(
                        (event.status, event.reason, event.fields, event.length, event.chunked, event.to_close)
                    )
                elif isinstance(event, End):
                    story.append(("end", event.trailers))
                elif isinstance(event, bytes) and story and isinstance(story[-1], bytes):
                    story[-1] += event
                elif event:
                    story.append(event)
    except UpstreamBroke:
        return [UpstreamBroke], False
    return story, reader.complete and reader.clean


RESPONSES = st.one_of(
    st.binary(max_size=300).map(lambda body: OK + b"Content-Length: %d\r\n\r\n" % len(body) + body),
    st.lists(st.binary(min_size=1, max_size=40), max_size=5).map(
        lambda chunks: (
            OK
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
            + b"0\r\nX-T: u\r\n\r\n"
        )
    ),
    st.binary(max_size=100).map(lambda body: OK + b"\r\n" + body),
    st.just(b"HTTP/1.1 204 No Content\r\n\r\n"),
    st.just(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
)
INTERIM = st.lists(
    st.sampled_from([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"]), max_size=3
)


@given(INTERIM, RESPONSES, st.booleans(), st.lists(st.integers(0, 400), max_size=10))
def test_any_cut_of_the_bytes_tells_the_same(
    interim: list[bytes], response: bytes, to_head: bool, cuts: list[int]
) -> None:
    """One read, any reads, byte by byte."""
    data = b"".join(interim) + response
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    whole = told([data], to_head)
    assert told(pieces, to_head) == whole
    assert told([data[index : index + 1] for index in range(len(data))], to_head) == whole


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise_anything_but_upstream_broke(data: bytes, known: bool) -> None:
    """Whatever comes."""
    told([OK + data if known else data, data])


@pytest.mark.parametrize(
    "response",
    [
        b"garbage\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"A: b\r\n c\r\n\r\n",
        OK + b"A: b\x00\r\n\r\n",
    ],
)
def test_what_cannot_be_read_for_sure_is_broken(response: bytes) -> None:
    """Nothing ambiguous goes on to a visitor."""
    assert told([response]) == ([UpstreamBroke], False)


@pytest.mark.parametrize(
    ("response", "to_head"),
    [
        (OK + b"Content-Length: 1\r\n\r\nxy", False),
        (OK + b"Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", False),
        (b"HTTP/1.1 204 No\r\n\r\nx", False),
        (b"HTTP/1.1 304 No\r\n\r\n" + OK, False),
        (OK + b"Content-Length: 3\r\n\r\nabc", True),
    ],
)
def test_bytes_behind_a_response_make_its_connection_useless(response: bytes, to_head: bool) -> None:
    """The response itself is good."""
    story, reusable = told([response], to_head)
    assert story[-1] == ("end", [])
    assert not reusable
    assert not told([response[:-1], response[-1:]], to_head)[1]


def test_the_end_of_the_connection_completes_only_a_body_that_ends_so() -> None:
    """Neither a half head nor a body that said how long it is."""
    for data, complete in ((OK + b"\r\nabc", True), (OK + b"Content-Length: 9\r\n\r\nabc", False), (OK, False)):
        reader = ResponseReader(HTTPLimits(), "relay.test")
        reader.feed(data)
        assert reader.end() == complete


@pytest.mark.parametrize(
    ("limits", "response"),
    [
        ({"response_headers": 2}, OK + b"A: 1\r\nB: 1\r\nContent-Length: 0\r\n\r\n"),
        ({"response_head": 100}, OK + b"A: " + b"1" * 100 + b"\r\n\r\n"),
        ({"response_head": 100}, OK + b"A: " + b"1" * 100),
        ({"informational": 1}, b"HTTP/1.1 100 Continue\r\n\r\n" * 2),
        ({"trailers": 1}, OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\nB: 1\r\n\r\n"),
        ({"overhead": 20}, OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"1" * 20 + b"\r\n\r\n"),
    ],
)
def test_each_limit_holds(limits: dict[str, Any], response: bytes) -> None:
    """Beyond it the upstream is broken; without it the same bytes are fine."""
    assert told([response], **limits)[0] == [UpstreamBroke]
    assert told([response])[0] != [UpstreamBroke]


def test_a_trailer_without_end_fills_no_memory() -> None:
    """Bytes that are no data are counted as they come."""
    pieces = [OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\nA: ", *[b"1" * 100] * 100]
    assert told(pieces, overhead=1000)[0] == [UpstreamBroke]
