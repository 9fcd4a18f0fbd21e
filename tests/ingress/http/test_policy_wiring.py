"""Policies and loops where they meet requests: from a visitor to an upstream and back."""

from __future__ import annotations

import pytest

from egtunnel.ingress.http.headers import fence_cookie, loops
from egtunnel.policy import Edit, HeaderPolicy
from tests.ingress.http.world import World, answers, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def world(**policy: object) -> World:
    """A world whose tunnel has that policy."""
    made = World()
    made.app.policy = HeaderPolicy(**policy)  # type: ignore[arg-type]
    return made


def test_requests_and_responses_are_edited() -> None:
    """Once each, on a connection that is kept too."""
    policy = {
        "request": (Edit("remove", b"Cookie"), Edit("set", b"X-Key", b"own")),
        "response": (Edit("remove", b"Server"), Edit("add", b"X-Seen", b"yes")),
    }
    place = world(**policy)
    for _ in range(2):
        request = get("/", "app.relay.test", "Cookie: a=b", "X_Key: theirs", "X-Other: 1")
        seen, got = place.ask(request, OK.replace(b"\r\n\r\n", b"\r\nServer: x\r\n\r\n"))
        assert b"\r\nX-Key: own\r\n" in seen
        assert b"\r\nX-Other: 1\r\n" in seen
        assert b"Cookie" not in seen
        assert b"theirs" not in seen
        (answer,) = answers(got)
        assert answer.headers["x-seen"] == "yes"
        assert "server" not in answer.headers


def test_the_prefix_stands_before_the_path_and_is_taken_off_redirects() -> None:
    """The visitor never sees it."""
    place = world(path_prefix=b"/app")
    redirect = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n"
    seen, got = place.ask(get("/x?y=/z"), redirect % b"/app/login")
    assert seen.startswith(b"GET /app/x?y=/z HTTP/1.1\r\n")
    assert answers(got)[0].headers["location"] == "/login"
    _, got = place.ask(get("/x"), redirect % b"http://app.relay.test/app/login")
    assert answers(got)[0].headers["location"] == "http://app.relay.test/login"


def test_a_path_that_climbs_out_of_the_prefix_is_refused() -> None:
    """The upstream does not hear of it; without a prefix it is the service's own matter."""
    place = world(path_prefix=b"/app")
    (answer,) = answers(place.visitor(get("/%2e%2e/secret")).take())
    assert (answer.status, answer.word) == (400, "bad-request")
    assert place.app.dials == 0
    plain = World()
    plain.visitor(get("/%2e%2e/secret"))
    assert plain.far.take().startswith(b"GET /%2e%2e/secret ")


def test_trailers_and_informational_responses_lose_what_is_removed() -> None:
    """Nothing is said by another way."""
    place = world(response=(Edit("remove", b"X-Inner"), Edit("add", b"X-Seen", b"yes")))
    response = (
        b"HTTP/1.1 103 Early Hints\r\nX-Inner: 1\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Inner: 2\r\nX-Sum: 3\r\n\r\n"
    )
    _, got = place.ask(get("/", "app.relay.test", "TE: trailers", "Connection: TE"), response)
    assert b"X-Inner" not in got
    assert b"X-Sum: 3" in got
    assert got.count(b"X-Seen") == 1


def test_the_answer_to_an_upgrade_is_edited_too() -> None:
    """A WebSocket's handshake may set cookies."""
    place = world(response=(Edit("add", b"Set-Cookie", b"a=b"),))
    request = get("/", "app.relay.test", "Upgrade: websocket", "Connection: Upgrade")
    _, got = place.ask(
        request, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    assert b"\r\nSet-Cookie: a=b\r\n" in got


def test_a_request_that_goes_round_in_a_circle_ends() -> None:
    """Ten relays are let through, whoever else stands between them; the eleventh says 508."""
    other = "Via: 1.1 elsewhere, 2.0 other (egtunnel)"
    place = World()
    seen, _ = place.ask(get("/", "app.relay.test", *["Via: 1.1 egtunnel"] * 9, other), OK)
    assert seen.count(b" egtunnel\r\n") == 10
    many = "Via: " + ", ".join(["1.1 EGTUNNEL"] * 10)
    (answer,) = answers(place.visitor(get("/", "app.relay.test", many)).take())
    assert (answer.status, answer.word) == (508, "loop-detected")
    assert place.app.dials == 1


@pytest.mark.parametrize("value", [b"", b",", b"egtunnel", b"1.1 x", b"1.1 x egtunnel", b"1.1 x (egtunnel, egtunnel)"])
def test_other_lines_of_via_are_no_loops(value: bytes) -> None:
    """Only a relay's own word counts."""
    assert not loops([(b"Via", value)] * 100)
    assert not loops([(b"X-Via", b"1.1 egtunnel")] * 100)


@pytest.mark.parametrize(
    "name",
    ["X-Forwarded-For", "x_forwarded_for", "X-Forwarded_Proto", "X_FORWARDED_HOST", "X-Forwarded-Port", "Forwarded",
     "X-Real-IP", "X_Real_IP", "X-Forwarded", "X-Forwarded-Prefix", "X-Egtunnel-Name"],
)  # fmt: skip
def test_no_visitor_says_what_only_the_relay_says(name: str) -> None:
    """In no spelling that a service takes for it."""
    seen, _ = World().ask(get("/", "app.relay.test", f"{name}: 6.6.6.6"), OK)
    assert b"6.6.6.6" not in seen
    assert b"X-Forwarded-For: 192.0.2.7\r\n" in seen


def test_a_service_does_not_speak_for_the_relay() -> None:
    """X-Egtunnel-Error is the relay's."""
    _, got = World().ask(get(), OK.replace(b"\r\n\r\n", b"\r\nX-Egtunnel-Error: denied\r\n\r\n"))
    assert answers(got)[0].word == ""


@pytest.mark.parametrize(
    "domain",
    ["relay.test", ".relay.test", "RELAY.Test", "relay.test.", '"relay.test"', " relay.test ", "test", "..relay.test",
     '".relay.test"', "relay%2etest", "relay.test:80", "rel\u00e4y.test"],
)  # fmt: skip
def test_no_spelling_of_the_relays_domain_widens_a_cookie(domain: str) -> None:
    """The cookie stays, for the host that set it."""
    for attribute in (f"Domain={domain}", f" dOMAIN = {domain}", f"Path=/; domain={domain}; Domain={domain}"):
        value = f"a=b;{attribute};Secure".encode("latin-1")
        fenced = fence_cookie(value, "relay.test").lower()
        assert b"domain" not in fenced
        assert fenced.startswith(b"a=b;")
        assert fenced.endswith(b";secure")


def test_each_of_several_cookies_is_judged_for_itself() -> None:
    """A tunnel's own name below the domain is its own affair."""
    cookies = b"Set-Cookie: a=1; Domain=relay.test\r\nSet-Cookie: b=2; Domain=x.app.relay.test\r\nSet-Cookie: c=3\r\n"
    _, got = World().ask(get(), OK.replace(b"\r\n\r\n", b"\r\n" + cookies + b"\r\n"))
    assert got.count(b"Set-Cookie") == 3
    assert b"Set-Cookie: a=1\r\n" in got
    assert b"Set-Cookie: b=2; Domain=x.app.relay.test\r\n" in got
