"""Several real clients that serve one name: spread, failing, killed, sticky, leaving."""

from __future__ import annotations

import hashlib
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.daemons import Client, Daemon, Relay, free_port, until
from tests.integration.programs import curl, plain_lines
from tests.integration.rawhttp import Connection, get
from tests.integration.test_first_tunnel import answers, fetch, stranger
from tests.integration.transfers import MIB, WebService, sha256_of_blocks
from tests.integration.upstreams import Upstream

Start = Callable[[Daemon], Daemon]
Connect = Callable[..., Client]
SHARED = ("--name", "app", "--share-name")


@pytest.fixture
def one() -> Iterator[Upstream]:
    """A service that says who it is."""
    with Upstream(answers("one")) as service:
        yield service


@pytest.fixture
def two() -> Iterator[Upstream]:
    """Another one."""
    with Upstream(answers("two")) as service:
        yield service


def serving(connect: Connect, *services: Upstream | WebService | int, options: tuple[str, ...] = ()) -> list[Client]:
    """A client for each service, connected one after the other."""
    clients = []
    for service in services:
        port = service if isinstance(service, int) else service.port
        clients.append(connect("--local", str(port), *SHARED, *options))
        clients[-1].url()
    return clients


def test_requests_are_spread(relay: Relay, connect: Connect, one: Upstream, two: Upstream) -> None:
    """Each of two clients has half of the requests that come one after the other; both print the same URL."""
    clients = serving(connect, one, two)
    assert len({client.url() for client in clients}) == 1
    said = Counter(fetch(clients[0].url()).body for _ in range(40))
    assert said == {b"one": 20, b"two": 20}
    for daemon in (relay, *clients):
        daemon.assert_calm()


def test_who_does_not_agree_is_told_and_ends(connect: Connect, one: Upstream, two: Upstream) -> None:
    """With one line; the others serve on."""
    (first,) = serving(connect, one)
    other = connect("--local", str(two.port), *SHARED, "--sticky", "cookie")
    assert other.exit_status() == 1
    assert "does so with other options" in plain_lines(other)[-1]
    alone = connect("--local", str(two.port), "--name", "app")
    assert alone.exit_status() == 1
    assert "the name app is taken" in plain_lines(alone)[-1]
    assert fetch(first.url()).body == b"one"


def test_another_account_with_the_token_can_share(
    relay: Relay, start: Start, connect: Connect, tmp_path: Path, one: Upstream, two: Upstream
) -> None:
    """As on another machine."""
    (first,) = serving(connect, one)
    other = stranger(relay, tmp_path, "--local", str(two.port), *SHARED)
    start(other)
    assert other.url() == first.url()
    assert {fetch(first.url()).body for _ in range(4)} == {b"one", b"two"}


def test_a_service_that_is_down_costs_nobody_anything(connect: Connect, one: Upstream) -> None:
    """Bodies included: they are sent to the one that is there."""
    clients = serving(connect, free_port(), one)
    place = urlsplit(clients[0].url())
    for number in range(20):
        with Connection(place.port or 80) as visitor:
            body = b"x" * number
            head = f"POST / HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
            visitor.send(head.encode() + body)
            assert visitor.answer().body == b"one"


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_client_that_fails_under_load_costs_no_request(
    relay: Relay, connect: Connect, one: Upstream, two: Upstream, sign: signal.Signals
) -> None:
    """While GETs come on new connections all the time; the sessions would wait a minute for their next links.

    A process that is killed closes its connections, one that stands still does not.
    """
    first, second = serving(connect, one, two)
    said: Counter[str] = Counter()
    over = threading.Event()
    lock = threading.Lock()

    def visit() -> None:
        while not over.is_set():
            try:
                answer = get(relay.port, relay.host("app"))
                word = answer.body.decode() if answer.status == 200 else f"{answer.status} {answer.error}"
            except (OSError, AssertionError) as error:
                word = repr(error)
            with lock:
                said[word] += 1

    def so_many(word: str, count: int) -> None:
        with until(f"{count} more answers {word}") as deadline:
            goal = said[word] + count
            while said[word] < goal and time.monotonic() < deadline:
                time.sleep(0.01)

    threads = [threading.Thread(target=visit, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    so_many("one", 50)
    first.process.send_signal(sign)
    so_many("two", 300)
    over.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert set(said) == {"one", "two"}, said
    relay.assert_calm()
    second.assert_calm()


def test_a_request_that_waits_for_its_answer_leaves_a_killed_client(connect: Connect, two: Upstream) -> None:
    """It was sent already, and nothing has come back: it is asked elsewhere at once, not after the resume window."""
    asked = threading.Event()

    def serve(connection: socket.socket) -> None:
        while connection.recv(65_536):
            asked.set()

    with Upstream(serve) as silent:
        (first,) = serving(connect, silent)
        place = urlsplit(first.url())
        with Connection(place.port or 80) as visitor:
            visitor.send(f"GET / HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
            assert asked.wait(20)
            serving(connect, two)
            first.kill()
            assert visitor.answer().body == b"two"


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_a_cookie_keeps_a_visitor_at_one_client(
    connect: Connect, one: Upstream, two: Upstream, tmp_path: Path, version: str
) -> None:
    """curl with its cookie jar; without one it is spread. When the client goes, another one and its cookie follow."""
    clients = serving(connect, one, two, options=("--sticky", "cookie"))
    url, jar = clients[0].url(), str(tmp_path / "jar")

    def visit() -> bytes:
        return curl(url, version, "--cookie", jar, "--cookie-jar", jar)

    first = visit()
    assert "egtunnel-server" in Path(jar).read_text()
    assert {visit() for _ in range(6)} == {first}
    assert {curl(url, version) for _ in range(4)} == {b"one", b"two"}
    clients[0 if first == b"one" else 1].kill()
    then = visit()
    assert then != first
    assert {visit() for _ in range(4)} == {then}


def test_the_service_does_not_see_the_cookie(connect: Connect, tmp_path: Path) -> None:
    """But its own ones."""
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            seen.append(data)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: own=1\r\n\r\n")

    with Upstream(serve) as service:
        (client,) = serving(connect, service, options=("--sticky", "cookie"))
        jar = str(tmp_path / "jar")
        for _ in range(2):
            curl(client.url(), "--cookie", jar, "--cookie-jar", jar)
    assert "egtunnel-server" in Path(jar).read_text()
    assert b"egtunnel-server" not in b"".join(seen)
    assert b"Cookie: own=1\r\n" in seen[1]


def test_a_client_that_is_stopped_serves_its_download_to_the_end(relay: Relay, connect: Connect, two: Upstream) -> None:
    """SIGTERM: new visitors go to the other at once, the download arrives whole, then the client ends."""
    size = 48
    with WebService() as files:
        (first,) = serving(connect, files, options=("--drain", "30"))
        with Connection(relay.port, receive_buffer=65_536) as visitor:
            visitor.send(f"GET /sized/{size} HTTP/1.1\r\nHost: {relay.host('app')}\r\n\r\n".encode())
            assert visitor.answer(body=False).status == 200
            serving(connect, two)
            first.process.send_signal(signal.SIGTERM)
            first.wait_for("no new visitors; serving those there are")
            with until("new visitors to go to the other") as deadline:
                while time.monotonic() < deadline and fetch(first.url(), "/sized/0").body != b"two":
                    time.sleep(0.02)
            assert {fetch(first.url()).body for _ in range(6)} == {b"two"}
            assert first.process.poll() is None
            rest = visitor._received
            digest = hashlib.sha256(rest)
            count = len(rest)
            while count < size * MIB:
                piece = visitor.socket.recv(1 << 18)
                assert piece, f"it ended after {count} bytes"
                digest.update(piece)
                count += len(piece)
            assert digest.hexdigest() == sha256_of_blocks(size)
        assert first.exit_status(20) in (0, -signal.SIGTERM)
        first.assert_calm()


def test_a_tcp_port_is_shared(connect: Connect) -> None:
    """Connections are spread by who has fewer open ones; one whose service is down passes them on."""

    def named(word: bytes) -> Callable[[socket.socket], None]:
        def serve(connection: socket.socket) -> None:
            connection.sendall(word)
            connection.recv(1)

        return serve

    with Upstream(named(b"one")) as one, Upstream(named(b"two")) as two:
        options = ("--tcp", "23042", "--share-name")
        first = connect("--local", str(one.port), *options)
        port = first.tcp_port()
        connect("--local", str(two.port), *options).tcp_port()
        visitors = [Connection(port) for _ in range(6)]
        assert Counter(visitor.socket.recv(3) for visitor in visitors) == {b"one": 3, b"two": 3}
        connect("--local", str(free_port()), *options).tcp_port()
        visitors += [Connection(port) for _ in range(4)]
        assert all(visitor.socket.recv(3) for visitor in visitors[6:])
        for visitor in visitors:
            visitor.socket.close()
