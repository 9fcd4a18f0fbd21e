"""Requests that are malformed, ambiguous or made for smuggling: refused, or passed on as exactly one good one."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

import attrs
import pytest

from tests.integration.daemons import ROOT, Client, Relay
from tests.integration.rawhttp import Connection, get
from tests.integration.upstreams import Upstream

VECTORS: list[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / "http_requests.json").read_text())
"""``request``: pieces of text (Latin-1), some as ``[text, times]``. ``answer``: the status.
``body``: what the upstream has to receive; ``with``, ``without``: what its head must hold or not, in lower case."""

REQUEST_LINE = re.compile(rb"[A-Z]+ [!-~]+ HTTP/1\.[01]\r\n")
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ \t\x21-\x7e\x80-\xff]*)\r\n")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@attrs.define
class Seen:
    """One request as the upstream saw it."""

    head: bytes
    body: bytes = b""
    complete: bool = False

    @property
    def target(self) -> str:
        return self.head.split(b" ")[1].decode("latin-1")


class Recorder(Upstream):
    """An upstream that reads requests by the letter of RFC 9112, keeps them, and notes what is not well-formed."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.faults: list[str] = []
        self._lock = threading.Lock()
        super().__init__(self._converse)

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while self._request(stream):
                connection.sendall(ANSWER)

    def _request(self, stream: BufferedReader) -> bool:
        first = stream.readline()
        if not first:
            return False
        seen = Seen(first)
        with self._lock:
            self.requests.append(seen)
        if not REQUEST_LINE.fullmatch(first):
            return self._fault("request line", first)
        headers: list[tuple[bytes, bytes]] = []
        while (line := stream.readline()) != b"\r\n":
            header = HEADER_LINE.fullmatch(line)
            if header is None:
                return self._fault("header line", line) if line else False
            headers.append((header[1].lower(), header[2]))
            seen.head += line
        return self._framed(stream, seen, headers)

    def _framed(self, stream: BufferedReader, seen: Seen, headers: list[tuple[bytes, bytes]]) -> bool:
        names = [name for name, _ in headers]
        lengths = [value for name, value in headers if name == b"content-length"]
        codings = [value for name, value in headers if name == b"transfer-encoding"]
        if names.count(b"host") != 1:
            return self._fault("not one Host", seen.head)
        if len(lengths) + len(codings) > 1:
            return self._fault("ambiguous framing", seen.head)
        if lengths and not lengths[0].isdigit():
            return self._fault("length", lengths[0])
        size = int(lengths[0]) if lengths else 0
        seen.body = stream.read(size)
        if codings and not self._chunks(stream, seen):
            return False
        seen.complete = bool(codings) or len(seen.body) == size
        return seen.complete

    def _chunks(self, stream: BufferedReader, seen: Seen) -> bool:
        while line := stream.readline():
            if not re.fullmatch(rb"[0-9A-Fa-f]+\r\n", line):
                return self._fault("chunk size", line)
            size = int(line, 16)
            if not size:
                break
            seen.body += stream.read(size)
            if (end := stream.read(2)) != b"\r\n":
                return self._fault("end of a chunk", end) if len(end) == 2 else False
        while line := stream.readline():
            if line == b"\r\n":
                return True
        return False

    def _fault(self, what: str, data: bytes) -> bool:
        self.faults.append(f"{what}: {data[:200]!r}")
        return False


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relay, Recorder]]:
    """A relay and a client with the tunnel ``vectors`` to a recorder."""
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(Recorder())
        relay = Relay(tmp_path_factory.mktemp("vectors"))
        stack.callback(relay.end)
        client = Client(relay.ready(), "--local", str(recorder.port), "--name", "vectors")
        stack.callback(client.end)
        client.url()
        yield relay, recorder
        relay.assert_calm()
        client.assert_calm()


def request_of(vector: dict[str, Any], relay: Relay) -> bytes:
    """The bytes of a vector, with the relay's host and port put in."""
    pieces = [piece if isinstance(piece, str) else piece[0] * piece[1] for piece in vector["request"]]
    host = relay.host("vectors")
    text = "".join(pieces).replace("{host}", host).replace("{port}", str(relay.port))
    return text.replace("{name}", "vectors").replace("{NAME}", "VECTORS").encode("latin-1")


def test_the_vectors_are_the_ones_of_the_threat_model() -> None:
    """All 27 of reliability.md and more, each with a name of its own."""
    names = [vector["name"] for vector in VECTORS]
    assert len(names) == len(set(names)) > 80
    assert {"no Host", "two Hosts", "absolute-form unlike Host", "CONNECT", "2,000 trailers"} < set(names)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_a_request_is_refused_or_reaches_the_upstream_as_exactly_one(
    road: tuple[Relay, Recorder], vector: dict[str, Any]
) -> None:
    """The answer is right; what was refused never completes at the upstream; no second request comes out of one."""
    relay, recorder = road
    before, faults = len(recorder.requests), len(recorder.faults)
    with Connection(relay.port) as visitor:
        visitor.send(request_of(vector, relay))
        answer = visitor.answer()
        assert answer.status == vector["answer"], answer
        if answer.status != 200:
            assert answer.error, "a refusal names itself"
            assert visitor.rest() == b"", "what follows a refused request is not read as another"
        else:
            visitor.finish()
            visitor.rest()  # nothing else is in the way: the relay has read all there was
    assert get(relay.port, relay.host("vectors"), "/after").status == 200
    seen = recorder.requests[before:]
    assert recorder.faults[faults:] == []
    assert [request.target for request in seen if request.complete and request.target == "/after"] == ["/after"]
    complete = [request for request in seen if request.complete and request.target != "/after"]
    assert len(complete) == (1 if answer.status == 200 else 0), seen
    assert len(seen) <= 2
    for request in complete:
        assert request.target.startswith("/v")
        check_content(vector, request)


def check_content(vector: dict[str, Any], request: Seen) -> None:
    """What the vector says of the request that came through."""
    if "body" in vector:
        assert request.body.decode("latin-1") == vector["body"]
    head = request.head.decode("latin-1").lower()
    for text in vector.get("with", []):
        assert text in head
    for text in vector.get("without", []):
        assert text not in head


def test_pipelined_requests_are_answered_in_order_each_once(road: tuple[Relay, Recorder]) -> None:
    """Twenty requests in one segment: twenty answers, twenty requests at the upstream, in order."""
    relay, recorder = road
    before = len(recorder.requests)
    host = relay.host("vectors")
    targets = [f"/p{number}" for number in range(20)]
    with Connection(relay.port) as visitor:
        visitor.send("".join(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n" for target in targets).encode())
        assert [visitor.answer().status for _ in targets] == [200] * 20
    assert [request.target for request in recorder.requests[before:]] == targets


def test_the_data_file_is_complete() -> None:
    """Every vector says what is sent and what may be answered, and nothing misspelt."""
    members = {"name", "request", "answer", "body", "with", "without"}
    for vector in VECTORS:
        assert {"name", "request", "answer"} <= vector.keys() <= members, vector["name"]
        assert vector["answer"] in {200, 400, 405, 414, 431}


def test_the_recorder_notices_what_is_not_well_formed() -> None:
    """The judge itself: two Hosts and two framings are faults, a half body is not complete."""
    cases = {
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": "not one Host",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n": "ambiguous framing",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n": "request line",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n": "chunk size",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhi": "",
    }
    for request, fault in cases.items():
        with Recorder() as recorder, Connection(recorder.port) as visitor:
            visitor.send(request)
            visitor.finish()
            assert visitor.rest() == b""
            assert "".join(recorder.faults).split(":")[0] == fault
            assert not any(seen.complete for seen in recorder.requests)
