"""Requests of HTTP/1.1 to services that speak HTTP/2, and their responses back."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from zope.interface.verify import verifyObject

from egtunnel.ingress.http2.upstream import H2Upstream
from egtunnel.policy import Edit, HeaderPolicy
from tests.ingress.http.world import Pipe, World, answers, get
from tests.ingress.http2.upstream_world import Service, serve, world_of_h2c

POST = b"POST /in?x=1 HTTP/1.1\r\nHost: App.relay.test:80\r\n"


def exchange(request: bytes = get(), **limits: Any) -> tuple[World, Service, Pipe]:
    """A request that has arrived at the service."""
    world = world_of_h2c(**limits)
    visitor = world.visitor(request)
    return world, serve(world), visitor


def test_the_seams_are_kept() -> None:
    """What Twisted asks of a protocol and a producer is there."""
    world = world_of_h2c()
    upstream = H2Upstream(None, world.clock, world.limits, "relay.test")
    verifyObject(IHalfCloseableProtocol, upstream)
    verifyObject(IPushProducer, upstream)


def test_a_request_becomes_a_header_section() -> None:
    """Pseudo-header fields from target and Host, names in lower case, nothing hop-by-hop, the visitor's address."""
    request = get(
        "/path?q=1", "App.relay.test", "X-Own: a", "Connection: x-hop", "X-Hop: b", "TE: trailers", "Cookie: a=1"
    )
    _, service, _ = exchange(request)
    names = [name for name, _ in service.requests[0]]
    assert names[:4] == [b":method", b":scheme", b":authority", b":path"]
    head = service.head
    assert (head[b":method"], head[b":scheme"], head[b":path"]) == (b"GET", b"http", b"/path?q=1")
    assert head[b":authority"] == b"App.relay.test"
    assert (head[b"x-own"], head[b"te"], head[b"cookie"]) == (b"a", b"trailers", b"a=1")
    assert head[b"x-forwarded-for"] == b"192.0.2.7"
    assert not {b"connection", b"x-hop", b"host"} & head.keys()
    assert service.ended


@pytest.mark.parametrize(
    ("fields", "framing"), [([(b"content-length", b"5")], "content-length"), ([], "transfer-encoding")]
)
def test_a_response_has_its_length_or_chunks(fields: list[tuple[bytes, bytes]], framing: str) -> None:
    """As the service said it."""
    _, service, visitor = exchange()
    service.answer(b"hello", (b"x-own", b"1"), *fields)
    (answer,) = answers(visitor.take())
    assert (answer.status, answer.body, answer.complete, answer.headers["x-own"]) == (200, b"hello", True, "1")
    assert framing in answer.headers


def test_trailers_of_a_response() -> None:
    """Behind the last chunk."""
    _, service, visitor = exchange()
    service.begin()
    service.data(b"hello")
    service.trailing((b"grpc-status", b"0"), (b"x-sum", b"5"))
    (answer,) = answers(visitor.take())
    assert answer.trailers.split("\r\n") == ["grpc-status: 0", "x-sum: 5"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body(status: int) -> None:
    """Neither length nor chunks."""
    _, service, visitor = exchange()
    service.begin(status, (b"etag", b'"1"'), end=True)
    (answer,) = answers(visitor.take())
    assert (answer.status, "content-length" in answer.headers, "transfer-encoding" in answer.headers) == (
        status,
        False,
        False,
    )


def test_an_empty_response_has_length_0() -> None:
    """A head that ends the stream says so."""
    _, service, visitor = exchange()
    service.begin(302, (b"location", b"/there"), end=True)
    (answer,) = answers(visitor.take())
    assert answer.headers["content-length"] == "0"


def test_a_response_to_head_keeps_its_length() -> None:
    """And has no body."""
    _, service, visitor = exchange(get().replace(b"GET", b"HEAD"))
    service.begin(200, (b"content-length", b"1234"), end=True)
    (answer,) = answers(visitor.take(), heads=lambda _: True)
    assert answer.headers["content-length"] == "1234"


def test_informational_responses_go_first() -> None:
    """100 and 103, as many as HTTP/1 may send."""
    request = POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    _, service, visitor = exchange(request)
    assert service.head[b"expect"] == b"100-continue"
    service.begin(100)
    service.begin(103, (b"link", b"</style.css>"))
    visitor.send(b"hi")
    service.read()
    assert service.body == b"hi"
    service.answer()
    assert [answer.status for answer in answers(visitor.take())] == [100, 103, 200]


def test_a_body_of_known_length() -> None:
    """With its content-length, and the end behind it."""
    _, service, visitor = exchange(POST + b"Content-Length: 5\r\n\r\nhel")
    assert (service.head[b"content-length"], service.body, service.ended) == (b"5", b"hel", False)
    visitor.send(b"lo")
    service.read()
    assert (service.body, service.ended) == (b"hello", True)


def test_chunks_become_data_and_trailers_trailers() -> None:
    """Without a length; chunk extensions are left behind."""
    body = b"3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 5\r\nAge: 7\r\n\r\n"
    _, service, _ = exchange(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert b"content-length" not in service.head
    assert (service.body, service.ended, service.trailers) == (b"hello", True, [(b"x-sum", b"5")])


def test_one_connection_serves_one_request_after_the_other() -> None:
    """Of different visitors, on streams of rising numbers."""
    world, service, _ = exchange()
    service.answer()
    for number in (3, 5, 7):
        visitor = world.visitor(get(f"/{number}"))
        service.read()
        assert (service.number, service.head[b":path"]) == (number, b"/%d" % number)
        service.answer(b"answer %d" % number)
        assert answers(visitor.take())[0].body == b"answer %d" % number
    assert world.app.dials == 1


def test_requests_at_once_have_connections_of_their_own() -> None:
    """One stream at a time on each, so that channels carry flow control."""
    world, _, _ = exchange()
    world.visitor(get())
    assert world.app.dials == 2


def test_other_upgrades_are_left_out() -> None:
    """The request is an ordinary one then (RFC 9110 section 7.8)."""
    _, service, visitor = exchange(get("/", "app.relay.test", "Connection: Upgrade", "Upgrade: news"))
    assert b"upgrade" not in service.head
    service.answer()
    assert answers(visitor.take())[0].status == 200


def test_a_websocket_is_refused_clearly() -> None:
    """501, and the service is not asked."""
    world = world_of_h2c()
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    visitor = world.visitor(
        get("/", "app.relay.test", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key)
    )
    (answer,) = answers(visitor.take())
    assert (answer.status, answer.word) == (501, "not-implemented")
    assert world.far.lost


def test_the_header_policy_is_followed() -> None:
    """Rewritten authority, edits, and a path prefix."""
    world = world_of_h2c()
    world.app.host_header = "localhost:50051"
    world.app.policy = HeaderPolicy((Edit("set", b"X-Key", b"1"),), (Edit("remove", b"server"),), b"/base")
    visitor = world.visitor(get("/x", "app.relay.test", "x-key: 2"))
    service = serve(world)
    assert (service.head[b":authority"], service.head[b":path"]) == (b"localhost:50051", b"/base/x")
    assert [value for name, value in service.requests[0] if name == b"x-key"] == [b"1"]
    service.answer(b"", (b"server", b"secret"))
    assert "server" not in answers(visitor.take())[0].headers
