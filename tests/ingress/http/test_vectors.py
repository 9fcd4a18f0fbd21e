"""Requests that are malformed, ambiguous or made for smuggling, in memory and in every cut of their bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingress.http.world import World, answers

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "http_requests.json").read_text()
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
APPENDIX = 27
"""The first so many are those of the threat model."""


def request_of(vector: dict[str, Any]) -> bytes:
    """The bytes of a vector, for the tunnel ``app``."""
    pieces = [piece if isinstance(piece, str) else piece[0] * piece[1] for piece in vector["request"]]
    text = "".join(pieces).replace("{host}", "app.relay.test").replace("{name}.localhost", "app.relay.test")
    text = text.replace("{NAME}.LocalHost", "APP.Relay.Test").replace("{port}", "80")
    return text.encode("latin-1")


def run(request: bytes, size: int) -> tuple[list[int], list[bytes], bool]:
    """Status codes, what upstreams got, and whether the connection ended; the request comes in pieces of ``size``."""
    world = World()
    visitor = world.visitor()
    for start in range(0, len(request), size):
        visitor.send(request[start : start + size])
    for upstream in world.app.upstreams:
        if not upstream.lost:
            upstream.send(OK)
    return (
        [answer.status for answer in answers(visitor.taken)],
        [far.taken for far in world.app.upstreams if not far.aborted],
        visitor.write_ended or visitor.lost,
    )


def test_the_appendix_is_all_there() -> None:
    """The data file holds it first, and goes on."""
    names = [vector["name"] for vector in VECTORS]
    assert names[0] == "bare LF in a value hides a Content-Length"
    assert APPENDIX <= names.index("2,000 trailers") + 1 < len(names)


def sizes(vector: dict[str, Any]) -> tuple[int, ...]:
    """In pieces of which size a vector is sent: large ones not byte by byte."""
    return (65_536, 4096) if len(request_of(vector)) > 20_000 else (65_536, 4096, 7, 1)


@pytest.mark.parametrize(
    ("vector", "size"),
    [pytest.param(vector, size, id=f"{vector['name']}-{size}") for vector in VECTORS for size in sizes(vector)],
)
def test_a_request_is_refused_or_passed_on_as_exactly_one(vector: dict[str, Any], size: int) -> None:
    """The answer is a right one however the bytes were cut, and the connection ends after a refusal."""
    request = request_of(vector)
    codes, seen, ended = run(request, size)
    assert codes[:1] == [vector["answer"]]
    if codes[0] != 200:
        assert ended
        assert len(codes) == 1
        assert seen == []
    else:
        assert len(seen) == 1
        assert seen[0].count(b"HTTP/1.1\r\n") == 1 + vector.get("body", "").count("HTTP/1.1")
