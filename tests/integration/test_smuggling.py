"""Requests made for smuggling, through a real relay to real servers: what each counts is what the relay passed on."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.integration.daemons import ROOT, Client, Relay, until
from tests.integration.h2visitor import H2Visitor
from tests.integration.rawhttp import Answer, Connection, ask
from tests.integration.upstream_servers import SERVERS, Line, Server, start_server
from tests.smuggling import CASES, THREATS, Case

H2_CASES: list[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / "http2_requests.json").read_text())


@attrs.define
class Road:
    """A relay, its client with the tunnel ``app``, and the server that it leads to.

    ``counted``: the whole requests that the server has seen so far, without ``OPTIONS *``: some answer it themselves.
    """

    relay: Relay
    server: Server
    log: Path
    counted: int = 0
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    @property
    def host(self) -> str:
        return self.relay.host("app")

    def honest(self) -> list[Line]:
        """An honest visitor on a connection of its own gets its own answer; what the server saw since the last time."""
        marker = f"honest-{next(self._numbers)}"
        lines = f"GET /honest HTTP/1.1\r\nHost: {self.host}\r\nX-Marker: {marker}\r\nConnection: close\r\n\r\n"
        answer = ask(self.relay.port, lines.encode())
        assert (answer.status, answer.body.split(b"\t")[::2]) == (200, [b"/honest", marker.encode()])
        found = self.server.seen_until(marker)
        self.counted += sum(line.target != "*" for line in found)
        return found

    def passed_on(self) -> int:
        """How many requests the server has answered well, as the relay's own log says; without ``OPTIONS *``."""
        entries = [json.loads(line) for line in self.log.read_text().splitlines()]
        return sum(entry["tunnel"] == "app" and entry["status"] == 200 and entry["path"] != "*" for entry in entries)


@pytest.fixture(scope="module", params=SERVERS)
def road(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """A relay and a client before each of the servers in turn."""
    folder = tmp_path_factory.mktemp("smuggling")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(start_server(request.param, folder / "server"))
        log = folder / "access.log"
        options = ("--tcp-ports", "none", "--access-log", str(log), "--access-log-format", "json")
        relay = Relay(folder, *options)
        stack.callback(relay.end)
        client = Client(relay.ready(), "--local", str(server.port), "--name", "app")
        stack.callback(client.end)
        client.url()
        yield Road(relay, server, log)
        relay.assert_calm()
        client.assert_calm()


def test_honest_visitors_share_a_connection_to_the_server(road: Road) -> None:
    """Else nothing below would show that a request cannot poison the one after it."""
    assert len({line.port for _ in range(5) for line in road.honest()}) == 1


@pytest.mark.parametrize("case", [pytest.param(case, id=case.title) for case in CASES + THREATS])
def test_the_server_counts_what_the_table_says(road: Road, case: Case) -> None:
    """No request hides in another, and the next visitor gets its own answer, over a connection that was kept."""
    with Connection(road.relay.port) as visitor:
        visitor.send(case.bytes_for("app", road.host))
        passed = converse(road, visitor, case)
        seen = road.honest()
    if case.outcome == "cut":
        seen += road.honest()
    assert [line.target for line in seen if line.target != "/honest"] == passed
    assert not any(line.marker for line in seen if line.target != "/honest")
    assert road.server.faults() == []
    body = case.body_for("app", road.host)
    if passed and body is not None:
        assert seen[0].size == len(body)


def converse(road: Road, visitor: Connection, case: Case) -> list[str]:
    """Read the answers that a case asks for, and none beyond; the targets that the server has to have counted."""
    passed: list[str] = []
    if case.outcome not in ("refused", "cut"):
        answer = visitor.answer(body=not case.to_head)
        if case.outcome != "at most one" or b"\t" in answer.body:
            passed.append(told(answer, case.target, case.to_head))
        assert not answer.error, "the server itself refuses it"
    if case.outcome == "two":
        passed.append(told(visitor.answer(), "/smuggled"))
    if case.outcome.endswith("refused"):
        answer = visitor.answer()
        assert (answer.status, bool(answer.error)) == (case.status, True)
    elif case.outcome != "cut":
        visitor.finish()
    if case.outcome != "cut":
        assert visitor.rest() == b""
    return passed


def told(answer: Answer, target: str, to_head: bool = False) -> str:
    """The target that the server's program was asked for, as its answer tells; it is the one of the case."""
    assert (answer.status, answer.error) == (200, "")
    if not to_head:
        assert answer.body.split(b"\t")[0] == target.encode("latin-1")
    return target


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["name"]) for vector in H2_CASES])
def test_a_request_of_http_2_does_not_become_two(road: Road, vector: dict[str, Any]) -> None:
    """What only HTTP/2 can carry is refused, not written into HTTP/1.1 (the downgrade attacks of 2021)."""
    with H2Visitor(road.relay.port) as visitor:
        reply = visitor.ask(fields(vector["head"], road), text(vector, "body"), trailers(vector, road))
        seen = [line for line in road.honest() if line.target != "/honest"]
        assert visitor.alive(), "the connection goes on"
    known = dict(vector["head"]).get(":method", "").isupper()  # else it is the method that a server may not like
    assert not road.server.faults() or not known
    if vector["answer"] == "reset":
        assert (reply.status, reply.reset) == (0, 1)
    elif vector["answer"] != 200:
        assert (reply.status, bool(reply.error)) == (vector["answer"], True)
    else:
        assert (bool(reply.status), reply.error) == (True, "") or not known
    assert len(seen) == (b"\t" in reply.body), "an answer of another kind is the server's own"
    assert [line.target for line in seen] == [dict(vector["head"])[":path"] for _ in seen]
    if seen and "body" in vector:
        assert seen[0].size == len(vector["body"])


def fields(pairs: list[list[Any]], road: Road) -> list[tuple[bytes, bytes]]:
    """A header section of a vector, with the relay's names put in."""
    host = road.host
    new = {"app.relay.test:80": host, "app.relay.test": host, "relay.test": "localhost", "APP.RELAY.TEST": host.upper()}
    new["APP.Relay.Test"] = host.title()
    section = []
    for name, value in pairs:
        filled = value if isinstance(value, str) else value[0] * value[1]
        for old, ours in new.items():
            filled = filled.replace(old, ours)
        section.append((name.encode("latin-1"), filled.encode("latin-1")))
    return section


def text(vector: dict[str, Any], name: str) -> bytes | None:
    """A body, if the vector has one."""
    return vector[name].encode("latin-1") if name in vector else None


def trailers(vector: dict[str, Any], road: Road) -> list[tuple[bytes, bytes]] | None:
    """Trailers, if the vector has them."""
    return fields(vector["trailers"], road) if "trailers" in vector else None


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_tells_what_is_whole_and_what_is_no_request(name: str, tmp_path: Path) -> None:
    """The judges themselves: a half body does not count, a second request does, garbage is a fault."""
    ours = "Host: a\r\nX-Marker: m\r\n"
    with start_server(name, tmp_path / name) as server:
        with Connection(server.port) as visitor:
            visitor.send(f"POST /half HTTP/1.1\r\n{ours}Content-Length: 9\r\n\r\nhello".encode())
            visitor.finish()
            visitor.rest()
        assert server.faults() == []
        with Connection(server.port) as visitor:
            visitor.send(f"POST /a HTTP/1.1\r\n{ours}Content-Length: 5\r\n\r\nhello".encode())
            assert visitor.answer().body.startswith(b"/a\t5\tm\t")
            visitor.send(f"GET /b HTTP/1.1\r\n{ours}\r\n".encode())
            assert visitor.answer().body.startswith(b"/b\t")
            visitor.send(b"0\r\n\r\n")
            visitor.rest()
        assert [(line.target, line.size) for line in server.seen_until("m")] == [("/a", 5), ("/b", 0)]
        faults: list[str] = []
        with until("the fault to be noted") as deadline:
            while not (faults := server.faults()) and time.monotonic() < deadline:
                time.sleep(0.02)
        assert len(faults) == 1


def test_the_books_of_the_relay_and_of_the_server_agree(road: Road) -> None:
    """After all that: as many requests in the relay's access log as the server has counted, to the last one."""
    road.honest()
    with until("the access log to be written") as deadline:
        while road.passed_on() < road.counted and time.monotonic() < deadline:
            time.sleep(0.05)
    assert road.passed_on() == road.counted > 0
    assert road.server.seen() == []
    assert road.server.faults() == []
