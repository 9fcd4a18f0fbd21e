"""What a visitor gets when it goes wrong: the error table, a header with the word for it, and a page fit to be read."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay, free_port
from tests.integration.programs import curl
from tests.integration.rawhttp import Answer, Connection, ask, get
from tests.integration.test_first_tunnel import assert_given_up, fetch, stranger
from tests.integration.upstreams import Nginx, Upstream

Start = Callable[[Daemon], Daemon]
Connect = Callable[..., Client]


class Silent:
    """An address that takes no connection and refuses none: its queue is full."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._queue = []
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", self.port))
            self._queue.append(waiting)

    def close(self) -> None:
        for one in (*self._queue, self._listener):
            one.close()


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Answer]]:
    """The answer of a service that takes no connection; asked for at once, as it takes the 10 s of the dial."""
    silent = Silent()
    relay = Relay(tmp_path_factory.mktemp("late"))
    client = Client(relay.ready(), "--local", str(silent.port), "--name", "late")
    try:
        client.url()
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(get, relay.port, relay.host("late"))
    finally:
        client.end()
        relay.end()
        silent.close()


def test_an_unknown_name_is_404(late: Future[Answer], relay: Relay) -> None:
    """Whether below the domain, a foreign host, or a path of the relay's own."""
    for host, path in (("nobody.localhost", "/"), ("nobody.example.com", "/"), ("localhost", "/nobody/")):
        answer = get(relay.port, f"{host}:{relay.port}", path)
        assert (answer.status, answer.error) == (404, "unknown-tunnel")


def test_an_error_page_is_for_people_or_for_programs(relay: Relay) -> None:
    """HTML or text by default, JSON if asked for; nothing of the request is repeated in it unescaped."""
    url = f"http://nobody.localhost:{relay.port}/<script>alert(1)</script>"
    page = curl(url, "--globoff", "-H", "Accept: text/html")
    assert b"<script>" not in page
    assert b"404" in page
    answer = curl(url, "--globoff", "-i", "-H", "Accept: application/json").decode()
    assert "application/json" in answer
    assert '"unknown-tunnel"' in answer


def test_a_service_that_does_not_run_is_502(connect: Connect) -> None:
    """``upstream-refused``, each time."""
    url = connect("--local", str(free_port())).url()
    for _ in range(2):
        answer = fetch(url)
        assert (answer.status, answer.error) == (502, "upstream-refused")


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"no HTTP at all\r\n\r\n"], ids=repr)
def test_a_service_that_breaks_before_it_answers_is_502(connect: Connect, beginning: bytes) -> None:
    """``upstream-broke``: it closed the connection, in the middle of the head, or spoke something else."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(beginning)

    with Upstream(serve) as service:
        answer = fetch(connect("--local", str(service.port)).url())
    assert (answer.status, answer.error) == (502, "upstream-broke")


def test_a_client_that_is_away_is_503_after_the_hold(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """``client-away`` with Retry-After; the name is not given to anybody else meanwhile."""
    relay = Relay(tmp_path, "--hold", "0.5")
    start(relay)
    client = Client(relay.ready(), "--local", str(nginx.port), "--name", "away")
    start(client)
    client.url()
    client.kill()
    answer = get(relay.port, relay.host("away"))
    assert (answer.status, answer.error) == (503, "client-away")
    assert int(answer.headers["retry-after"]) > 0
    other = stranger(relay, tmp_path, "--local", "8080", "--name", "away")
    start(other)
    assert_given_up(other, "away", "taken")
    relay.assert_calm()


def test_malformed_requests_are_400_431_and_414(relay: Relay, connect: Connect, nginx: Nginx) -> None:
    """And the connection is closed."""
    connect("--local", str(nginx.port), "--name", "app").url()
    host = f"Host: {relay.host('app')}\r\n"
    for request, status in (
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{host}{host}\r\n", 400),
        (f"GET / HTTP/1.1\r\n{host}X: {'a' * 70_000}\r\n\r\n", 431),
        (f"GET /{'a' * 10_000} HTTP/1.1\r\n{host}\r\n", 414),
    ):
        answer = ask(relay.port, request.encode())
        assert (answer.status, answer.headers["connection"].lower()) == (status, "close")


def test_a_service_that_cannot_be_reached_in_time_is_504(late: Future[Answer]) -> None:
    """``upstream-slow``; the last test here, since the answer was asked for before the first of these."""
    answer = late.result(60)
    assert (answer.status, answer.error) == (504, "upstream-slow")


@pytest.mark.soak
def test_a_service_that_does_not_answer_is_504(relay: Relay, connect: Connect) -> None:
    """It takes the request and then thinks for longer than the relay has patience: one minute."""
    over = threading.Event()

    def think(_: socket.socket) -> None:
        over.wait(300)

    with Upstream(think) as service, Connection(relay.port, timeout=120) as visitor:
        connect("--local", str(service.port), "--name", "thinks").url()
        visitor.send(f"GET / HTTP/1.1\r\nHost: {relay.host('thinks')}\r\n\r\n".encode())
        answer = visitor.answer()
        over.set()
    assert (answer.status, answer.error) == (504, "upstream-slow")
