"""Ends that go and come back: the address stays, those who asked meanwhile are answered, and a stop is a clean one."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay, free_port, until
from tests.integration.programs import plain_lines
from tests.integration.rawhttp import Answer, Connection, get
from tests.integration.test_first_tunnel import HELLO, answers, assert_given_up, fetch, stranger
from tests.integration.upstreams import Nginx, Upstream

Start = Callable[[Daemon], Daemon]
Connect = Callable[..., Client]
Stop = Callable[[Daemon], None]

CLEAN = (0, -signal.SIGTERM)
"""twistd ends by the signal that stopped it, once everything has been shut down in order; a shell shows 143."""


def served_again(url: str) -> Answer:
    """The first answer that is not the relay's own; for the time in which it does not listen, too."""
    answer = Answer(0)
    with until(f"{url} to serve again") as deadline:
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionError):
                answer = fetch(url, "/hello")
                if answer.status == 200:
                    return answer
            time.sleep(0.02)
    return answer


def waiting_visitors(relay: Relay, count: int) -> None:
    """Wait until the relay has that many visitors' connections, its link apart."""
    listener = f":{relay.port:04X}"
    with until(f"{count} visitors to be connected") as deadline:
        while time.monotonic() < deadline:
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            if sum(row[1].endswith(listener) and row[3] == "01" for row in rows) >= count:
                return
            time.sleep(0.02)


def written_down(relay: Relay, place: str) -> None:
    """Wait until the relay's file of owners names a place; it is written a moment after the promise."""
    file = relay.home / "state/egtunnel/relay/names.json"
    with until(f"{place} to be written down") as deadline:
        while time.monotonic() < deadline:
            if file.exists() and f'"{place}"' in file.read_text():
                return
            time.sleep(0.02)


# -- the client


@pytest.mark.parametrize("options", [(), ("--name", "back")], ids=["chosen name", "wanted name"])
def test_a_killed_client_has_the_same_url_and_waiting_visitors_are_answered(
    relay: Relay, connect: Connect, nginx: Nginx, options: tuple[str, ...]
) -> None:
    """``kill -9``, requests, the same command again: the requests made meanwhile get their answers."""
    first = connect("--local", str(nginx.port), *options)
    url = first.url()
    assert fetch(url, "/hello").body == HELLO
    first.kill()
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(fetch, url, "/hello") for _ in range(10)]
        waiting_visitors(relay, 10)
        second = connect("--local", str(nginx.port), *options)
        assert [visitor.result(60).body for visitor in waiting] == [HELLO] * 10
    assert second.url() == url
    assert fetch(url, "/hello").body == HELLO
    relay.assert_calm()


def test_a_request_with_a_body_waits_as_well(relay: Relay, connect: Connect) -> None:
    """What a visitor has sent before the client came back is not lost."""
    bodies: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        data = b""
        while not data.endswith(b"end"):
            data += connection.recv(65_536)
        bodies.append(data.split(b"\r\n\r\n", 1)[1])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken")

    with Upstream(serve) as service:
        first = connect("--local", str(service.port), "--name", "posts")
        first.url()
        first.kill()
        with Connection(relay.port) as visitor:
            body = b"x" * 200_000 + b"end"
            visitor.send(
                f"POST / HTTP/1.1\r\nHost: {relay.host('posts')}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            visitor.send(body[:100])
            connect("--local", str(service.port), "--name", "posts")
            visitor.send(body[100:])
            assert visitor.answer().body == b"taken"
        assert bodies == [body]


def test_five_times_in_a_row(connect: Connect, nginx: Nginx) -> None:
    """Some faults only come with the second or third return."""
    urls = set()
    for _ in range(5):
        client = connect("--local", str(nginx.port))
        urls.add(client.url())
        assert fetch(client.url(), "/hello").body == HELLO
        client.kill()
    assert len(urls) == 1


def test_the_same_identity_takes_over_from_its_ghost(
    relay: Relay, start: Start, connect: Connect, tmp_path: Path
) -> None:
    """A client that is frozen still has its link; a new one with the same identity serves at once.

    When the ghost wakes up it is told, ends with one line, and does not take the name back.
    """
    with Upstream(answers("old")) as old, Upstream(answers("new")) as new:
        ghost = connect("--local", str(old.port), "--name", "me")
        url = ghost.url()
        assert fetch(url).body == b"old"
        ghost.process.send_signal(signal.SIGSTOP)
        shutil.copytree(relay.home / "state", tmp_path / "copy", ignore=shutil.ignore_patterns("handover", "api.sock"))
        copied = ("--local", str(new.port), "--name", "me")
        successor = Client(relay, *copied, env={"XDG_STATE_HOME": str(tmp_path / "copy")})
        start(successor)
        assert successor.url() == url
        assert fetch(url).body == b"new"
        ghost.process.send_signal(signal.SIGCONT)
        assert ghost.exit_status(30) == 1
        assert plain_lines(ghost)[-1].startswith("egclient: another client with the same identity took over")
        ghost.assert_calm()
        assert fetch(url).body == b"new"
        assert successor.process.poll() is None


def test_a_second_client_with_the_same_command_does_not_take_over(connect: Connect, nginx: Nginx) -> None:
    """While the first runs its identity is in use: the second is another client with another name."""
    first = connect("--local", str(nginx.port))
    first.url()
    second = connect("--local", str(nginx.port))
    assert second.url() != first.url()
    assert first.process.poll() is None
    assert fetch(first.url(), "/hello").body == HELLO


# -- the relay


def test_a_killed_relay_finds_its_client_again_with_the_same_url(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """``kill -9``, the same command again: the client comes by itself, and says so in one line."""
    relay = Relay(tmp_path)
    start(relay)
    client = Client(relay.ready(), "--local", str(nginx.port))
    start(client)
    url = client.url()
    for again in range(1, 3):
        assert fetch(url, "/hello").body == HELLO
        relay.kill()
        relay = Relay(tmp_path, port=relay.port)
        start(relay)
        assert served_again(url).body == HELLO
        with until("the client to say so") as deadline:
            while client.output.count("connected again") < again and time.monotonic() < deadline:
                time.sleep(0.02)
    assert plain_lines(client).count(f"{url} -> {nginx.port}") == 1
    client.assert_calm()


def test_visitors_of_a_relay_that_has_just_come_back_wait_for_the_client(
    tmp_path: Path, start: Start, nginx: Nginx
) -> None:
    """The relay knows after a restart whose names there were: no 404 in between."""
    relay = Relay(tmp_path)
    start(relay)
    client = Client(relay.ready(), "--local", str(nginx.port), "--name", "kept")
    start(client)
    client.url()
    written_down(relay, "kept")
    client.process.send_signal(signal.SIGSTOP)  # it will be late
    relay.kill()
    relay = Relay(tmp_path, port=relay.port)
    start(relay)
    relay.ready()
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(get, relay.port, relay.host("kept"), "/hello") for _ in range(5)]
        waiting_visitors(relay, 5)
        client.process.send_signal(signal.SIGCONT)
        assert [visitor.result(60).body for visitor in waiting] == [HELLO] * 5
    relay.assert_calm()


def test_a_relay_that_is_away_for_long_is_found_again(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """The client tries again and again, says in few lines that it does, and serves when the relay is there."""
    relay = Relay(tmp_path)
    start(relay)
    client = Client(relay.ready(), "--local", str(nginx.port))
    start(client)
    url = client.url()
    relay.stop()
    client.wait_for("(?i)the connection to the relay is lost|cannot reach the relay")
    time.sleep(3)  # some attempts
    assert client.process.poll() is None
    start(Relay(tmp_path, port=relay.port))
    assert served_again(url).body == HELLO
    assert len(plain_lines(client)) < 8, client.output
    client.assert_calm()


# -- stopping in order


def unfinished(relay: Relay, name: str) -> Connection:
    """A visitor in the middle of a response."""
    visitor = Connection(relay.port)
    visitor.send(f"GET / HTTP/1.1\r\nHost: {relay.host(name)}\r\n\r\n".encode())
    assert b"begun" in visitor.socket.recv(65_536)
    return visitor


def endless(connection: socket.socket) -> None:
    """A service whose answer begins and does not end."""
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun")
    connection.recv(1)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_client_cleanly(relay: Relay, connect: Connect, sign: signal.Signals) -> None:
    """At once, with visitors in the middle of something: they are cut off, nothing is left, the log is calm."""
    with Upstream(endless) as service:
        client = connect("--local", str(service.port), "--name", "ends")
        client.url()
        with unfinished(relay, "ends") as visitor:
            assert client.stop(sign) in (0, -sign)
            assert visitor.rest() == b""
    client.assert_calm()
    relay.assert_calm()
    assert plain_lines(client)[1:] == [], "a clean end needs no words"


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_relay_cleanly(tmp_path: Path, start: Start, sign: signal.Signals) -> None:
    """At once, with clients, visitors in the middle of something and others who wait: no traceback on either side."""
    relay = Relay(tmp_path, "--grace", "0")
    start(relay)
    with Upstream(endless) as service, contextlib.ExitStack() as stack:
        client = Client(relay.ready(), "--local", str(service.port), "--name", "stays")
        start(client)
        client.url()
        away = Client(relay, "--local", str(service.port), "--name", "away")
        start(away)
        away.url()
        visitor = stack.enter_context(unfinished(relay, "stays"))
        away.kill()
        waits = stack.enter_context(Connection(relay.port))
        waits.send(f"GET / HTTP/1.1\r\nHost: {relay.host('away')}\r\n\r\n".encode())
        stack.enter_context(Connection(relay.port))
        assert relay.stop(sign) in (0, -sign)
        assert visitor.rest() == b""
        assert waits.answer().status in (0, 503)
        client.wait_for("the connection to the relay is lost")
        client.stop()
    relay.assert_calm()
    client.assert_calm()


def test_a_client_without_a_relay_ends_cleanly(tmp_path: Path, start: Start) -> None:
    """Also while it waits for the next attempt."""
    relay = Relay(tmp_path)
    start(relay)
    client = Client(relay.ready(), "--local", str(free_port()))
    start(client)
    client.url()
    relay.kill()
    client.wait_for("the connection to the relay is lost")
    assert client.stop() in CLEAN
    client.assert_calm()


# -- TCP ports


def test_a_tcp_port_is_kept_for_its_owner(
    relay: Relay, connect: Connect, start: Start, tmp_path: Path, nginx: Nginx
) -> None:
    """While the client is away: visitors wait, a stranger cannot have the port, and the owner has it again."""
    first = connect("--local", str(nginx.port), "--tcp", "0")
    port = first.tcp_port()
    assert get(port, "x", "/hello").body == HELLO
    first.kill()
    other = stranger(relay, tmp_path, "--local", str(free_port()), "--tcp", str(port))
    start(other)
    assert_given_up(other, str(port), "taken")
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(get, port, "x", "/hello") for _ in range(5)]
        second = connect("--local", str(nginx.port), "--tcp", "0")
        assert [visitor.result(60).body for visitor in waiting] == [HELLO] * 5
    assert second.tcp_port() == port
    relay.assert_calm()


def test_a_tcp_port_is_kept_when_the_relay_restarts(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """And it listens again before its client is back."""
    ports = ("--tcp-ports", "23400-23499")
    relay = Relay(tmp_path, *ports)
    start(relay)
    client = Client(relay.ready(), "--local", str(nginx.port), "--tcp", "0")
    start(client)
    port = client.tcp_port()
    written_down(relay, str(port))
    client.process.send_signal(signal.SIGSTOP)
    relay.kill()
    relay = Relay(tmp_path, *ports, port=relay.port)
    start(relay)
    relay.ready()
    with Connection(port) as visitor:
        visitor.send(b"GET /hello HTTP/1.0\r\n\r\n")
        client.process.send_signal(signal.SIGCONT)
        assert visitor.rest().endswith(HELLO)
    relay.assert_calm()
