"""A relay whose ports somebody else has opened: systemd, which keeps them while the relay restarts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.daemons import PATIENCE, Client, Daemon, Relay, listening, until
from tests.integration.programs import program
from tests.integration.rawhttp import get
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]

PASS = 'exec 3<&"$0"; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
"""What systemd does between fork and exec (sd_listen_fds(3)), for bash; the descriptor is its first argument."""


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A port that the test holds all the time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def activated(home: Path, held: socket.socket, *options: str) -> Relay:
    """A relay that is given the port instead of opening it."""
    prefix = [program("bash"), "-c", PASS, str(held.fileno())]
    number: int = held.getsockname()[1]
    return Relay(home, *options, port=number, prefix=prefix, descriptors=(held.fileno(),))


def test_who_comes_while_no_relay_runs_waits_in_the_socket(
    tmp_path: Path, port: socket.socket, start: Start, nginx: Nginx
) -> None:
    """The relay is killed, a visitor connects and asks, another relay takes the same socket, and answers."""
    relay = activated(tmp_path, port)
    start(relay)
    relay.wait_for("egrelay listens on")
    client = Client(relay, "--name", "app", "--local", f"127.0.0.1:{nginx.port}")
    start(client)
    client.url()
    names = tmp_path / "state/egtunnel/relay/names.json"
    with until("the name to be written down") as deadline:
        while not (names.exists() and '"app"' in names.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
    relay.kill()
    answers: list[int] = []
    visitor = threading.Thread(target=lambda: answers.append(get(relay.port, relay.host("app")).status))
    visitor.start()
    again = activated(tmp_path, port)
    start(again)
    visitor.join(PATIENCE)
    assert answers == [200], again.output
    again.assert_calm()


def test_a_port_that_was_not_passed_is_opened(tmp_path: Path, port: socket.socket, start: Start) -> None:
    """One of the relay's two ports comes from systemd, the other is its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        other = probe.getsockname()[1]
    relay = activated(tmp_path, port, "--port", str(other))
    start(relay)
    listening(other)
    relay.wait_for(f"egrelay listens on .*{port.getsockname()[1]}.*{other}|egrelay listens on .*{other}")
    relay.assert_calm()


def test_systemd_itself_starts_a_relay_at_the_first_visitor(tmp_path: Path, start: Start) -> None:
    """``systemd-socket-activate`` listens; the first connection has the relay started, which answers it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
    prefix = [program("systemd-socket-activate"), "-l", f"127.0.0.1:{number}"]
    for name in ("XDG_STATE_HOME", "PYTHONPATH", "PYTHONUNBUFFERED"):
        prefix += ["-E", name]
    relay = Relay(tmp_path, port=number, prefix=prefix)
    start(relay)
    relay.wait_for("Listening on")
    answer = get(number, f"localhost:{number}")
    assert answer.status == 200, relay.output
    relay.wait_for("egrelay listens on")
