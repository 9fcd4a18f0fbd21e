"""A relay of two workers: real processes, every kind of visitor, and a worker that is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.daemons import PATIENCE, Client, Daemon, Relay, SecureRelay, until
from tests.integration.papers import Papers
from tests.integration.programs import program, run
from tests.integration.rawhttp import Connection, get
from tests.integration.rawlink import RawLink, token_of
from tests.integration.test_links import download, has_links, links_of
from tests.integration.transfers import MIB
from tests.integration.upstreams import Nginx, Upstream

Start = Callable[[Daemon], Daemon]
HELLO = b"hello from nginx\n"
NAMES = ("red", "green", "blue", "grey")


def workers(relay: Relay) -> list[int]:
    """The processes of its workers."""
    said = subprocess.run(["ps", "--ppid", str(relay.pid), "-o", "pid="], capture_output=True, check=False).stdout
    return [int(pid) for pid in said.split()]


@pytest.fixture
def pair(tmp_path: Path, start: Start) -> Relay:
    """A relay with two workers, both of which are there."""
    relay = Relay(tmp_path, "--workers", "2", "--tcp-ports", "23500-23599", "--hold", "10")
    start(relay)
    relay.wait_for("egrelay listens on")
    return relay


@pytest.fixture
def clients(pair: Relay, start: Start, nginx: Nginx) -> list[Client]:
    """Four clients, each with a name of its own."""
    found = []
    for name in NAMES:
        client = Client(pair, "--local", str(nginx.port), "--name", name, "--state", str(pair.home / name))
        start(client)
        found.append(client)
    for client in found:
        client.url()
    return found


def sessions(relay: Relay) -> set[str]:
    """The workers that have let clients in."""
    return {line.rpartition("session ")[2].partition("-")[0] for line in relay.lines if "admitted client" in line}


def everywhere(relay: Relay) -> None:
    """Every name answers, on many connections."""
    with ThreadPoolExecutor(8) as visitors:
        for answer in visitors.map(lambda n: get(relay.port, relay.host(NAMES[n % 4]), "/hello"), range(40)):
            assert (answer.status, answer.body) == (200, HELLO)


def test_clients_are_spread_and_every_visitor_arrives(pair: Relay, clients: list[Client]) -> None:
    """On connections of their own, and on one that asks for all of them in turn."""
    assert len(workers(pair)) == 2
    everywhere(pair)
    assert sessions(pair) == {"w1", "w2"}
    with Connection(pair.port) as visitor:
        for number in range(12):
            host = pair.host(NAMES[number % 4])
            visitor.send(f"GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert visitor.answer().body == HELLO
    pair.assert_calm()


def test_visitors_over_tls_arrive(
    start_secure: Callable[..., SecureRelay], start: Start, nginx: Nginx, papers: Papers
) -> None:
    """New handshakes, and one connection for all names."""
    relay = start_secure("--workers", "2")
    relay.wait_for("egrelay listens on")
    for name in NAMES:
        client = Client(relay, "--local", str(nginx.port), "--name", name, "--state", str(relay.home / name))
        start(client)
        client.url()
    for number in range(12):
        kept = papers.visit(f"https://{relay.host(NAMES[number % 4])}/hello")
        kept.request("GET", "/hello")
        assert kept.getresponse().read() == HELLO
        kept.request("GET", "/hello", headers={"Host": relay.host(NAMES[(number + 1) % 4])})
        assert kept.getresponse().read() == HELLO
        kept.close()
    relay.assert_calm()


def test_a_worker_that_is_killed_is_replaced_and_its_clients_are_back(pair: Relay, clients: list[Client]) -> None:
    """One after the other; the supervisor says so."""
    for victim in workers(pair):
        before = len(pair.lines)
        os.kill(victim, signal.SIGKILL)
        pair.wait_for(r"worker \d has ended \(SIGKILL\): another one is started", after=before)
        with until("two workers again") as deadline:
            while len(workers(pair)) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
        everywhere(pair)
    assert pair.stop() in (0, -signal.SIGTERM)
    assert workers(pair) == []


def test_a_name_is_given_once_in_a_race(pair: Relay) -> None:
    """Twenty clients of different identities want it at the same moment."""
    token = token_of(pair)

    def wish(number: int) -> str:
        with RawLink(pair.port) as link:
            link.log_in(token, f"racer-{number}")
            answer = link.claim(kind="http", name="prize")
            time.sleep(0)
            return str(answer["type"])

    with ThreadPoolExecutor(20) as racers:
        said = list(racers.map(wish, range(20)))
    assert said.count("claimed") >= 1
    assert set(said) <= {"claimed", "refused"}
    assert said.count("claimed") == 1, said


def test_links_that_are_cut_come_back_to_their_session(pair: Relay, start: Start, nginx: Nginx, tmp_path: Path) -> None:
    """Whichever worker gets the new link: downloads over several links lose no byte."""
    client = Client(pair, "--local", str(nginx.port), "--name", "app", "--links", "3")
    start(client)
    client.url()
    digest = nginx.file("links.bin", 16 * MIB)
    has_links(client, 3)
    with ThreadPoolExecutor(6) as visitors:
        running = [visitors.submit(download, pair, tmp_path, number) for number in range(6)]
        for port in links_of(client):
            run([program("ss"), "-K", "sport", "=", port, "and", "dport", "=", str(pair.port)])
        assert {one.result() for one in running} == {digest}
    has_links(client, 3)
    pair.assert_calm()
    client.assert_calm()


def test_tcp_tunnels_and_names_outlive_a_takeover(pair: Relay, start: Start) -> None:
    """Two workers follow two; a connection that is there stays with the old ones."""

    def echo(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            connection.sendall(data)

    with Upstream(echo) as upstream:
        client = Client(pair, "--local", str(upstream.port), "--tcp", "0")
        start(client)
        port = client.tcp_port()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as early:
            early.sendall(b"one")
            assert early.recv(10) == b"one"
            new = Relay(pair.home, "--takeover", "--workers", "2", "--tcp-ports", "23500-23599", port=pair.port)
            start(new)
            new.wait_for("egrelay listens on")
            pair.wait_for("another relay has taken over")
            early.sendall(b"two")
            assert early.recv(10) == b"two"
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as late:
                late.sendall(b"three")
                assert late.recv(10) == b"three"
        assert pair.exit_status() in (0, -signal.SIGTERM)
    new.assert_calm()


def test_workers_end_with_their_supervisor(pair: Relay, clients: list[Client]) -> None:
    """Even when it is killed: the port is free for the next relay, which knows the names."""
    was = workers(pair)
    pair.kill()
    with until("the workers to end") as deadline:
        while any(Path(f"/proc/{pid}").exists() for pid in was) and time.monotonic() < deadline:
            time.sleep(0.05)


def test_sighup_reaches_all(pair: Relay, clients: list[Client]) -> None:
    """And the relay serves on."""
    os.kill(pair.pid, signal.SIGHUP)
    pair.wait_for("^reload: no option changed; files are read again$", PATIENCE)
    everywhere(pair)
    pair.assert_calm()
