"""A relay is replaced by another while visitors are there, and none of them notices."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.daemons import PATIENCE, Client, Daemon, Relay, until
from tests.integration.load import Load
from tests.integration.programs import program, run
from tests.integration.transfers import MIB, blocks
from tests.integration.upstreams import Nginx, Upstream
from tests.integration.wstest import echo_server

Start = Callable[[Daemon], Daemon]


def take_over(relay: Relay, start: Start, *options: str) -> Relay:
    """A new relay in the place of this one, once it has begun."""
    after = len(relay.lines)
    new = Relay(relay.home, "--takeover", *options, port=relay.port)
    start(new)
    new.wait_for("egrelay listens on")
    relay.wait_for("another relay has taken over", after=after)
    return new


def is_gone(daemon: Daemon) -> None:
    """Wait until a process has ended well."""
    with until("a process to end") as deadline:
        while daemon.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    assert daemon.process.returncode in (0, -signal.SIGTERM), daemon.output


def is_closed(port: int) -> None:
    """Wait until nobody listens any more: a port is closed a turn of the loop after it is said."""
    with until("a port to be closed") as deadline, contextlib.suppress(ConnectionRefusedError):
        while time.monotonic() < deadline:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("times", "rate", "sockets", "size"),
    [(3, 100, 10, 64), pytest.param(10, 200, 50, 1024, marks=pytest.mark.soak)],
    ids=["short", "long"],
)
def test_no_visitor_notices_that_relays_follow_each_other(
    relay: Relay,
    connect: Callable[..., Client],
    start: Start,
    nginx: Nginx,
    tmp_path: Path,
    times: int,
    rate: int,
    sockets: int,
    size: int,
) -> None:
    """Requests at a steady rate, WebSockets and a slow download through all of it: no failure, no byte missing."""
    server, port = echo_server(tmp_path)
    start(server)
    digest = nginx.file("upgrade.bin", size * MIB)
    config = tmp_path / "tunnels.toml"
    config.write_text(
        f'[[tunnel]]\nlocal = "{nginx.port}"\nname = "app"\n[[tunnel]]\nlocal = "{port}"\nname = "echo"\n'
    )
    client = connect("--config", str(config))
    client.wait_for("://app.")
    client.wait_for("://echo.")
    relays, place = [relay], tmp_path / "download.bin"
    download = [program("curl"), "-s", "-S", "-f", "-H", f"Host: {relay.host('app')}", "-o", str(place)]
    download += ["--limit-rate", f"{size // times // 4 or 1}M", f"http://127.0.0.1:{relay.port}/upgrade.bin"]
    with ThreadPoolExecutor(1) as visitor:
        running = visitor.submit(run, download)
        with Load(relay.port, [relay.host("app")], rate, sockets, relay.host("echo")) as load:
            for _ in range(times):
                time.sleep(1)
                after = len(client.lines)
                relays.append(take_over(relays[-1], start))
                client.wait_for("connected again", after=after)
            time.sleep(1)
        running.result()
    print(f"{times} relays, {load.answered} requests, {load.echoed} echoes, {load.failures}")
    assert load.failures == []
    assert load.answered > times * rate / 4
    assert load.echoed > times * sockets
    assert run([program("sha256sum"), str(place)]).stdout.decode().split()[0] == digest
    for old in relays[:-1]:
        is_gone(old)
        old.assert_calm()
    relays[-1].assert_calm()
    client.assert_calm()


def test_the_ports_of_tcp_tunnels_are_handed_over(relay: Relay, connect: Callable[..., Client], start: Start) -> None:
    """A connection that is there stays where it is; a new one comes to the new relay; the port is never closed."""

    def echo(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            connection.sendall(data)

    with Upstream(echo) as upstream:
        client = connect("--local", str(upstream.port), "--tcp", "0")
        port = client.tcp_port()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as early:
            early.sendall(b"one")
            assert early.recv(10) == b"one"
            new = take_over(relay, start, "--tcp-ports", "23000-23099")
            early.sendall(b"two")
            assert early.recv(10) == b"two"
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as late:
                late.sendall(b"three")
                assert late.recv(10) == b"three"
            assert relay.process.poll() is None
        is_gone(relay)
    new.assert_calm()


def test_a_relay_that_cannot_begin_leaves_the_old_one_as_it_was(
    relay: Relay, connect: Callable[..., Client], start: Start, nginx: Nginx, tmp_path: Path
) -> None:
    """It says why and ends with status 1; the old one serves and can be asked again."""
    client = connect("--local", str(nginx.port), "--name", "app")
    client.url()
    empty = tmp_path / "empty"
    empty.write_text("")
    with Load(relay.port, [relay.host("app")], 50) as load:
        for options in (["--token-file", str(empty)], ["--tls-cert", str(empty), "--tls-key", str(empty)]):
            failed = Relay(relay.home, "--takeover", *options, port=relay.port)
            start(failed)
            with until("it to end") as deadline:
                while failed.process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
            assert failed.process.returncode == 1
            assert any(line.startswith("egrelay: ") for line in failed.lines), failed.output
        before = load.answered
        with until("more answers") as deadline:
            while load.answered < before + 20 and time.monotonic() < deadline:
                time.sleep(0.05)
    assert load.failures == []
    assert relay.process.poll() is None
    take_over(relay, start)
    is_gone(relay)


def test_where_no_relay_runs_there_is_nothing_to_take_over(tmp_path: Path, start: Start) -> None:
    """One line says so, and it starts."""
    relay = Relay(tmp_path, "--takeover")
    start(relay)
    relay.wait_for("nothing is taken over")
    relay.wait_for("egrelay listens on")
    relay.process.send_signal(signal.SIGTERM)
    is_gone(relay)


def test_a_relay_that_is_stopped_lets_a_download_finish(
    relay: Relay, connect: Callable[..., Client], tmp_path: Path
) -> None:
    """It takes nobody new meanwhile, and ends as soon as the last visitor has gone."""
    go = tmp_path / "go"

    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4 * MIB))
        connection.sendall(next(blocks(1)))
        while not go.exists():
            time.sleep(0.05)
        for _ in range(3):
            connection.sendall(next(blocks(1)))

    with Upstream(serve) as upstream:
        connect("--local", str(upstream.port), "--name", "app").url()
        with socket.create_connection(("127.0.0.1", relay.port), PATIENCE) as visitor:
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {relay.host('app')}\r\n\r\n".encode())
            received = visitor.recv(65_536)
            relay.process.send_signal(signal.SIGTERM)
            relay.wait_for(r"egrelay is stopping: 1 connections may go on for 30 s")
            is_closed(relay.port)
            go.touch()
            while data := visitor.recv(1 << 18):
                received += data
        assert received.endswith(next(blocks(1)))
        assert len(received) > 4 * MIB
        is_gone(relay)
    relay.assert_calm()


@pytest.mark.parametrize("second", [False, True])
def test_after_the_grace_or_a_second_signal_it_ends(start: Start, tmp_path: Path, second: bool) -> None:
    """The visitor's connection is cut."""
    relay = Relay(tmp_path, "--grace", "1" if not second else "600").ready()
    start(relay)

    def hold(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.recv(65_536)

    with Upstream(hold) as upstream:
        client = Client(relay, "--local", str(upstream.port), "--name", "app")
        start(client)
        client.url()
        with socket.create_connection(("127.0.0.1", relay.port), PATIENCE) as visitor:
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {relay.host('app')}\r\n\r\n".encode())
            time.sleep(0.2)
            relay.process.send_signal(signal.SIGTERM)
            relay.wait_for("egrelay is stopping")
            if second:
                relay.process.send_signal(signal.SIGTERM)
            is_gone(relay)
            visitor.recv(65_536)
    relay.assert_calm()
