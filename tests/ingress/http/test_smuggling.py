"""Requests made for smuggling, in memory and in every cut of their bytes; the integration tests ask real servers."""

from __future__ import annotations

import pytest

from tests.ingress.http.world import Pipe, World, answers
from tests.smuggling import CASES, OUTCOMES, Case, Seen, read_requests

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAMILIES = 20


class Upstream:
    """Answers every whole request on every connection of a tunnel; ``seen`` has them in order."""

    def __init__(self, world: World) -> None:
        self.seen: list[Seen] = []
        self._world = world
        self._left: dict[Pipe, bytes] = {}

    def serve(self) -> None:
        """Until nothing more comes."""
        busy = True
        while busy:
            busy = False
            for far in self._world.app.upstreams:
                found, self._left[far] = read_requests(self._left.get(far, b"") + far.take())
                if not far.lost:  # else nobody waits for it, and it counts for nothing
                    self.seen += found
                    busy = busy or bool(found)
                    far.send(OK * len(found))


def test_the_table_has_all_families() -> None:
    """Each case with a title of its own, each outcome among those that are defined."""
    titles = [case.title for case in CASES]
    assert len(titles) == len(set(titles)) >= 350
    assert len({case.family for case in CASES}) >= FAMILIES
    assert {case.outcome for case in CASES} == set(OUTCOMES)


@pytest.mark.parametrize(
    "data",
    [
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    ],
)
def test_the_reader_takes_nothing_that_could_be_read_in_two_ways(data: bytes) -> None:
    """The judge itself."""
    with pytest.raises(AssertionError):
        read_requests(data)


def test_the_reader_counts_what_is_whole() -> None:
    """A half body is none, what follows a whole request is another."""
    first = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
    assert read_requests(first + b"h")[0] == []
    found, rest = read_requests(first + b"hiGET /b HTTP/1.1\r\nHost: a\r\n\r\nGET")
    assert found == [Seen("/a", b"hi"), Seen("/b", b"")]
    assert rest == b"GET"


@pytest.mark.parametrize("case", [pytest.param(case, id=case.title) for case in CASES])
@pytest.mark.parametrize("size", [65_536, 7, 1])
def test_a_request_is_what_the_table_says_however_it_is_cut(case: Case, size: int) -> None:
    """Refused, one, or two; never a second one that hides in the first."""
    world = World()
    upstream, visitor = Upstream(world), world.visitor()
    request = case.bytes_for("app", "app.relay.test")
    for start in range(0, len(request), size):
        visitor.send(request[start : start + size])
        upstream.serve()
    codes = [answer.status for answer in answers(visitor.taken, heads=lambda index: case.to_head and not index)]
    expected = {"refused": 0, "cut": 0, "two": 2}.get(case.outcome, 1)
    assert [seen.target for seen in upstream.seen] == [case.target, "/smuggled"][:expected]
    if expected and case.body is not None:
        assert upstream.seen[0].body == case.body_for("app", "app.relay.test")
    refused = case.outcome.endswith("refused")
    assert [code for code in codes if code >= 200] == [200] * expected + [case.status] * refused
    assert (visitor.write_ended or visitor.lost) or not refused
