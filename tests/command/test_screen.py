"""What a person sees of a client, and what a program reads of it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from twisted.internet.task import Clock

from egtunnel.client.watching import LATEST, Watch
from egtunnel.command.screen import JsonLines, Screen, drawn


def test_requests_and_their_answers_are_seen_as_they_pass() -> None:
    """Method, path without query, status and time; what is no head is no request."""
    clock = Clock()
    watch = Watch(clock.seconds)
    passed = watch.asked(b"GET /a?secret=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert passed is not None
    clock.advance(0.25)
    assert not watch.answered(passed, b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert watch.answered(passed, b"HTTP/1.1 404 Not Found\r\n")
    assert (passed.method, passed.target, passed.status, passed.seconds) == ("GET", "/a", 404, 0.25)
    for data in (b"", b"\x16\x03\x01", b"get / HTTP/1.1\r\n", b"GET " + b"/" * 5000 + b" HTTP/1.1\r\n"):
        assert watch.asked(data) is None
    for _ in range(3 * LATEST):
        watch.asked(b"POST / HTTP/1.1\r\n")
    assert (watch.requests, len(watch.latest)) == (3 * LATEST + 1, LATEST)


@pytest.mark.parametrize(("columns", "height"), [(80, 50), (80, 24), (40, 10), (10, 3)])
def test_the_screen_fits(columns: int, height: int) -> None:
    """The code is left out where there is no room for it; the URL is whole, to be copied."""
    watch = Watch(Clock().seconds)
    for number in range(20):
        watch.asked(b"GET /%d/%s HTTP/1.1\r\n" % (number, b"x" * 100))
    url = "http://demo.localhost:7070"
    lines = drawn({"8080": url}, "connected", watch, (1500.0, 0.0), columns, height)
    assert any(url in line for line in lines)
    assert all(len(line) <= columns for line in lines if url not in line)
    codes = [line for line in lines if set(line) & set("\u2580\u2584\u2588")]
    assert bool(codes) is (height == 50)
    if height >= 24:
        assert any("1.5 kB/s" in line for line in lines)
        assert any("/19/" in line for line in lines), "the newest is there"


def test_the_screen_says_what_the_client_says() -> None:
    """Control characters of a path do not get to the terminal."""
    out = io.StringIO()
    screen = Screen(out, Clock().seconds)
    screen.claimed("8080", "http://demo.localhost:7070")
    assert screen.watch is not None
    screen.watch.asked("GET /\x9b31mred HTTP/1.1\r\n".encode("latin-1"))
    screen.say("http://demo.localhost:7070 -> 8080")
    assert screen.said == "connected"
    screen.say("the relay is away; trying again")
    assert "the relay is away; trying again" in out.getvalue()
    assert "\x9b" not in out.getvalue()


def test_lines_for_programs() -> None:
    """One object each."""
    out = io.StringIO()
    lines = JsonLines(out)
    lines.say("hello")
    lines.claimed("8080", "http://demo.localhost:7070")
    found: list[dict[str, Any]] = [json.loads(line) for line in out.getvalue().splitlines()]
    assert found == [
        {"event": "said", "text": "hello"},
        {"event": "claimed", "local": "8080", "url": "http://demo.localhost:7070"},
    ]
