"""The error table, row by row: what a visitor gets when it goes wrong."""

from __future__ import annotations

import json

import pytest
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as DialTimeout

from egtunnel.errors import (
    ChannelClosed,
    ChannelReset,
    ClientAway,
    Denied,
    LinkLost,
    OverBudget,
    OverLimit,
    TooManyChannels,
    UnknownTunnel,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamSlow,
)
from tests.ingress.http.world import Answer, Pipe, World, answers, get

ROWS = [
    (UnknownTunnel(), 503, "client-away", True),
    (ClientAway(), 503, "client-away", True),
    (UpstreamRefused(), 502, "upstream-refused", False),
    (UpstreamBroke(), 502, "upstream-broke", False),
    (LinkLost(), 502, "upstream-broke", False),
    (ChannelClosed(), 502, "upstream-broke", False),
    (ChannelReset(), 502, "upstream-broke", False),
    (UpstreamSlow(), 504, "upstream-slow", False),
    (TooManyChannels(), 429, "over-limit", True),
    (OverLimit(), 429, "over-limit", True),
    (OverBudget(), 429, "over-limit", True),
    (Denied(), 403, "denied", False),
]
IDS = [type(row[0]).__name__ for row in ROWS]
POST = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 10\r\n\r\nhello"


def only(visitor: Pipe) -> Answer:
    """The one answer that a visitor got."""
    (answer,) = answers(visitor.take())
    assert answer.complete
    return answer


@pytest.mark.parametrize(("error", "status", "word", "retry"), ROWS, ids=IDS)
@pytest.mark.parametrize("when", ["dialing", "later", "asking"])
def test_an_upstream_that_cannot_be_had(error: ChannelReset, status: int, word: str, retry: bool, when: str) -> None:
    """Whether the dialer says so, its connection fails, or an optimistic connection is lost before it answers."""
    world = World()
    if when == "dialing":
        world.app.failure = error
    elif when == "asking":
        world.app.denial = error
    visitor = world.visitor(get())
    if when == "later":
        world.far.break_off(error)
    answer = only(visitor)
    assert (answer.status, answer.word) == (status, word)
    assert ("retry-after" in answer.headers) == retry
    assert answer.headers["cache-control"] == "no-store"
    assert "connection" not in answer.headers
    world.app.failure = world.app.denial = None
    visitor.send(get())
    world.far.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert only(visitor).status == 204


@pytest.mark.parametrize(
    ("error", "word"),
    [(Refused(), "upstream-refused"), (DialTimeout(), "upstream-refused"), (OSError(), "upstream-broke")],
)
def test_errors_of_ordinary_endpoints_have_their_row(error: Exception, word: str) -> None:
    """A tunnel need not lead to a channel."""
    world = World()
    world.app.failure = error
    assert only(world.visitor(get())).word == word


def test_an_upstream_that_hangs_up_without_an_answer() -> None:
    """An orderly end is no answer either."""
    for end in ("finish", "break_off"):
        world = World()
        visitor = world.visitor(get())
        getattr(world.far, end)()
        assert (only(visitor).status, world.app.dials) == (502, 1)


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 101,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
    ids=["not HTTP", "ambiguous", "too large", "too many 100", "101 that nobody asked for", "101 to nothing"],
)
def test_a_response_that_cannot_be_read_is_a_broken_upstream(response: bytes) -> None:
    """And that connection is not used again."""
    world = World()
    visitor = world.visitor(get())
    world.far.send(response)
    found = [answer for answer in answers(visitor.take()) if answer.status >= 200]
    assert [(answer.status, answer.word) for answer in found] == [(502, "upstream-broke")]
    assert world.far.aborted


def test_an_upstream_that_does_not_answer_in_time() -> None:
    """The time counts from the end of the request."""
    world = World(answer=60)
    visitor = world.visitor(get())
    world.pass_time(59.5)
    assert visitor.take() == b""
    world.pass_time(0.5)
    assert only(visitor).status == 504
    assert world.far.aborted
    assert world.app.dials == 1


def test_the_time_for_an_answer_starts_when_the_body_has_ended() -> None:
    """A long upload is not a slow upstream."""
    world = World(answer=60, body_rate=0)
    visitor = world.visitor(POST)
    world.pass_time(50)
    visitor.send(b"world")
    world.pass_time(59)
    assert visitor.take() == b""
    world.pass_time(2)
    assert only(visitor).status == 504


def test_a_response_that_has_begun_may_take_its_time() -> None:
    """Server-sent events come when they come; an informational response is no beginning."""
    world = World(answer=60)
    visitor = world.visitor(get())
    world.far.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    world.pass_time(3600, step=10)
    world.far.send(b"1\r\nx\r\n0\r\n\r\n")
    assert only(visitor).body == b"x"
    slow = world.visitor(get("/slow"))
    world.far.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    world.pass_time(60)
    assert answers(slow.take())[-1].status == 504


def test_a_dialer_that_never_comes_back_is_slow_too() -> None:
    """Its connection attempt is given up."""
    world = World(dial=30)
    world.app.held = True
    visitor = world.visitor(get())
    world.pass_time(30)
    assert only(visitor).status == 504
    assert len(world.app.cancelled) == 1


def test_an_unknown_name_is_404() -> None:
    """By name or custom host."""
    for host in ("nobody.relay.test", "other.test"):
        answer = only(World().visitor(get("/", host)))
        assert (answer.status, answer.word) == (404, "unknown-tunnel")


def test_too_many_requests_at_once_through_one_tunnel() -> None:
    """429, and room again once one is over."""
    world = World(exchanges=2)
    first, _ = world.visitor(get()), world.visitor(get())
    visitor = world.visitor(get())
    answer = only(visitor)
    assert (answer.status, answer.word, answer.headers["retry-after"]) == (429, "over-limit", "5")
    world.app.upstreams[0].send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert only(first).status == 204
    visitor.send(get())
    assert world.app.upstreams[0].taken.count(b"GET / ") == 2


def test_one_address_cannot_have_all_places_of_a_tunnel() -> None:
    """It gets 429 when others are still served; its places are its own again once its requests are over."""
    world = World(exchanges=4, exchanges_per_address=2)
    first, _ = (world.visitor(get(), host="192.0.2.1") for _ in range(2))
    answer = only(world.visitor(get(), host="192.0.2.1"))
    assert (answer.status, answer.word) == (429, "over-limit")
    other = world.visitor(get(), host="192.0.2.2")
    assert other.take() == b""
    assert len(world.app.upstreams) == 3
    first.break_off()
    again = world.visitor(get(), host="192.0.2.1")
    assert again.take() == b""


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json, */*"])
def test_json_for_who_asks_for_it(accept: str) -> None:
    """The same word and sentence."""
    answer = only(World().visitor(get("/", "no.relay.test", f"Accept: {accept}")))
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body)["error"] == "unknown-tunnel"


def test_a_browser_gets_a_page_that_reflects_nothing() -> None:
    """No byte of the request comes back."""
    request = get(
        "/<script>alert(1)</script>", "no.relay.test", "Accept: text/html,application/json", "X-A: <b>evil</b>"
    )
    answer = only(World().visitor(request))
    assert answer.headers["content-type"].startswith("text/html")
    assert b"script" not in answer.body
    assert b"evil" not in answer.body


def test_an_error_page_for_head_has_no_body() -> None:
    """Only its length."""
    visitor = World().visitor(b"HEAD / HTTP/1.1\r\nHost: no.relay.test\r\n\r\n")
    (answer,) = answers(visitor.taken, heads=lambda index: True)
    assert answer.status == 404
    assert int(answer.headers["content-length"]) > 0


def test_a_failure_after_the_head_has_gone_cuts_the_visitor_off() -> None:
    """Nothing else can be said any more."""
    world = World()
    visitor = world.visitor(get())
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
    world.far.break_off(LinkLost())
    assert visitor.lost
    (answer,) = answers(visitor.taken)
    assert (answer.body, answer.complete) == (b"abc", False)


def test_a_refused_upload_is_answered_and_read_for_a_while() -> None:
    """Closing at once would reset the connection before the visitor has seen the answer."""
    world = World(linger_bytes=100, linger=5)
    world.app.failure = UpstreamRefused()
    visitor = world.visitor(POST)
    answer = only(visitor)
    assert (answer.status, answer.headers["connection"]) == (502, "close")
    assert visitor.write_ended
    assert not visitor.lost
    visitor.send(b"x" * 100)
    assert not visitor.lost
    visitor.send(b"x")
    assert visitor.lost
    assert not visitor.aborted


def test_an_upstream_that_promises_and_reads_slowly_has_its_time_too() -> None:
    """After a 100, and once it has taken the whole body, the answer is due."""
    world = World(answer=60, upstream_stall=300)
    visitor = world.visitor(b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 100000\r\n\r\n")
    world.far.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    world.far.stuck = True
    visitor.send(b"x" * 100_000)
    world.pass_time(299)
    world.far.stuck = False
    world.far.flush()
    world.pass_time(59)
    assert [answer.status for answer in answers(visitor.take())] == [100]
    world.pass_time(1)
    assert only(visitor).status == 504


def test_an_upstream_that_answers_and_never_reads_is_given_up() -> None:
    """The stall counts whatever it has said."""
    world = World(upstream_stall=300)
    visitor = world.visitor(b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 200000\r\n\r\n")
    world.far.stuck = True
    visitor.send(b"x" * 100_000)
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    world.pass_time(300)
    assert visitor.write_ended
    assert not answers(visitor.taken)[0].complete
    assert world.far.aborted
