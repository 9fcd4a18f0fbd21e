"""A tunnel's policy on its way: requests and responses changed, paths prefixed, loops and climbs refused."""

from __future__ import annotations

import pytest

from egtunnel.policy import Edit, HeaderPolicy
from tests.ingress.http.world import World, answers, get

OK = b"HTTP/1.1 200 OK\r\nX-Powered-By: magic\r\nContent-Length: 2\r\n\r\nok"


def a_world(request: tuple[Edit, ...] = (), response: tuple[Edit, ...] = (), prefix: bytes = b"") -> World:
    """The tunnel ``app`` with this policy."""
    world = World()
    world.app.policy = HeaderPolicy(request, response, prefix)
    return world


def test_requests_and_responses_are_edited() -> None:
    """What the service sees, and what the visitor sees."""
    world = a_world(
        request=(Edit("set", b"Authorization", b"Bearer x"), Edit("remove", b"Accept")),
        response=(Edit("remove", b"X-Powered-By"), Edit("add", b"Strict-Transport-Security", b"max-age=1")),
    )
    seen, taken = world.ask(get("/", "app.relay.test", "Authorization: Basic y", "Accept: */*"), OK)
    assert b"Authorization: Bearer x\r\n" in seen
    assert b"Basic" not in seen and b"Accept" not in seen
    (answer,) = answers(taken)
    assert "x-powered-by" not in answer.headers
    assert answer.headers["strict-transport-security"] == "max-age=1"


def test_the_path_is_prefixed_and_redirects_come_back_without_it() -> None:
    """The visitor knows nothing of it."""
    world = a_world(prefix=b"/app")
    seen, taken = world.ask(get("/x?y=1"), b"HTTP/1.1 302 Found\r\nLocation: /app/login\r\nContent-Length: 0\r\n\r\n")
    assert seen.startswith(b"GET /app/x?y=1 HTTP/1.1\r\n")
    assert answers(taken)[0].headers["location"] == "/login"


@pytest.mark.parametrize("target", ["/../secret", "/%2e%2e/secret", "/a/..%2f..%2fsecret"])
def test_a_path_that_leads_out_of_the_prefix_is_refused(target: str) -> None:
    """It never reaches the service."""
    world = a_world(prefix=b"/app")
    visitor = world.visitor(get(target))
    assert answers(visitor.taken)[0].status == 400
    assert not world.app.upstreams


def test_trailers_and_early_answers_lose_what_is_removed() -> None:
    """103 and trailers are headers, too."""
    gone = (Edit("remove", b"X-Inner"),)
    world = a_world(gone, gone)
    visitor = world.visitor(
        b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\n!\r\n0\r\nX-Inner: 1\r\nX-Sum: 1\r\n\r\n"
    )
    seen = world.far.take()
    assert b"X-Sum: 1" in seen and b"X-Inner" not in seen
    world.far.send(b"HTTP/1.1 103 Early Hints\r\nX-Inner: 1\r\nLink: </a>\r\n\r\n")
    world.far.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Inner: 1\r\nX-Sum: 2\r\n\r\n")
    taken = visitor.take()
    assert b"Link: </a>" in taken and b"X-Sum: 2" in taken
    assert b"X-Inner" not in taken


def test_via_names_the_relay_and_the_visitors_version() -> None:
    """Beside those that are there (RFC 9110 section 7.6.3)."""
    seen, _ = World().ask(get("/", "app.relay.test", "Via: 1.1 proxy.example"), OK)
    assert b"Via: 1.1 proxy.example\r\n" in seen
    assert seen.endswith(b"Via: 1.1 egtunnel\r\n\r\n")


def test_a_request_that_goes_round_in_a_circle_is_stopped() -> None:
    """After ten relays; however the list is written."""
    nine = ", ".join(["1.1 egtunnel"] * 9)
    world = World()
    world.ask(get("/", "app.relay.test", f"Via: {nine}"), OK)
    visitor = world.visitor(get("/", "app.relay.test", f"Via: {nine}", "via: HTTP/1.1 EGTUNNEL (x)"))
    (answer,) = answers(visitor.taken)
    assert (answer.status, answer.word) == (508, "loop-detected")
