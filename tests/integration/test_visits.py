"""Private tunnels: one client visits another's by the relay; real psql, with and without the right token."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemons import Client, Relay, free_port
from tests.integration.programs import curl, program, run
from tests.integration.rawhttp import get
from tests.integration.test_tcp import echo, everything
from tests.integration.token_store import TokenStore
from tests.integration.upstreams import Nginx, Upstream
from tests.store.postgres import Postgres


@pytest.fixture
def another(relay: Relay, start: Callable[[Any], Any], tmp_path: Path) -> Callable[..., Client]:
    """``another(*options)``: a client with an identity of its own."""
    count = iter(range(100))

    def run(*options: str, env: dict[str, str] | None = None) -> Client:
        client: Client = start(Client(relay, "--state", str(tmp_path / f"other-{next(count)}"), *options, env=env))
        return client

    return run


def visiting(client: Client, port: int) -> None:
    client.wait_for(rf"^127\.0\.0\.1:{port} -> private://")


def test_psql_between_two_clients(relay: Relay, connect: Callable[..., Client], another: Callable[..., Client]) -> None:
    """A database that has no public address; whoever asks for its name over HTTP learns that there is none."""
    database = Postgres()
    try:
        serving = connect("--local", str(database.port), "--private", "--name", "db")
        serving.wait_for(r"\(private: egclient --visit db reaches it\)$")
        port = free_port()
        visiting(another("--visit", "db", "--listen", f"127.0.0.1:{port}"), port)
        statement = "create table t (n int); insert into t select generate_series(1, 100000); select sum(n) from t"
        url = database.url("postgres").replace(f":{database.port}/", f":{port}/")
        done = run([program("psql"), "--no-psqlrc", "-Atc", statement, url])
        assert done.stdout.decode().split()[-1] == "5000050000"
        answer = get(relay.port, f"db.localhost:{relay.port}", "/")
        unknown = get(relay.port, f"nothing.localhost:{relay.port}", "/")
        assert (answer.status, answer.error) == (unknown.status, unknown.error) == (404, "unknown-tunnel")
    finally:
        database.end()


def test_bytes_go_both_ways_with_half_closes(relay: Relay, connect: Any, another: Any) -> None:
    """By an address, by a port alone, by a unix socket; at once and in bulk."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"got %d" % len(everything(connection)))

    with Upstream(serve) as service:
        connect("--local", str(service.port), "--private", "--name", "app").url()
        port, path = free_port(), relay.home / "app.sock"
        client = another("--visit", "app", "--listen", str(port), "--visit", "app", "--listen", f"unix:{path}")
        visiting(client, port)
        client.wait_for(r"^unix:.* -> private://app")
        assert path.stat().st_mode & 0o077 == 0
        for family, address in ((socket.AF_INET, ("127.0.0.1", port)), (socket.AF_UNIX, str(path))):
            with socket.socket(family) as visitor:
                visitor.settimeout(30)
                visitor.connect(address)
                visitor.sendall(bytes(5_000_000))
                visitor.shutdown(socket.SHUT_WR)
                assert everything(visitor) == b"got 5000000"


def test_a_visit_outlives_a_cut_link_and_waits_for_its_tunnel(relay: Relay, connect: Any, another: Any) -> None:
    """The visiting client may come first; what is under way goes on over the next link of either side."""
    port = free_port()
    client = another("--visit", "app", "--listen", str(port))
    client.wait_for("the private tunnel app: there is no private tunnel app now; trying again")
    with Upstream(echo) as service:
        connect("--local", str(service.port), "--private", "--name", "app").url()
        visiting(client, port)
        with socket.create_connection(("127.0.0.1", port), 30) as visitor:
            visitor.sendall(b"before")
            assert visitor.recv(100) == b"before"
            run([program("ss", Path("/bin")), "-K", "dport", "=", str(relay.port)], status=None)
            visitor.sendall(b"after")
            assert visitor.recv(100) == b"after"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_may_visit(tmp_path: Path, start: Any, nginx: Nginx, workers: str) -> None:
    """The same owner's tokens; those whose scope names it; nobody else, and none that may visit nothing."""
    relay = Relay(tmp_path, "--store", "sqlite", "--workers", workers)
    tokens, strangers = TokenStore(tmp_path), TokenStore(tmp_path)
    try:
        start(relay)
        relay.ready()
        ports = iter([free_port() for _ in range(5)])

        def visit(variables: dict[str, str], name: str = "app") -> tuple[Client, int]:
            port = next(ports)
            state = ["--state", str(tmp_path / f"visitor-{port}")]
            return start(Client(relay, "--visit", name, "--listen", str(port), *state, env=variables)), port

        serving = start(Client(relay, "--local", str(nginx.port), "--private", "--name", "app", env=tokens.token()[1]))
        serving.url()
        for variables in (tokens.token()[1], strangers.token(visits=["ap*"])[1]):
            client, port = visit(variables)
            visiting(client, port)
            assert curl(f"http://127.0.0.1:{port}/hello") == b"hello from nginx\n"
        client, _ = visit(strangers.token()[1])
        assert client.exit_status() == 1
        assert "this token may not visit app, which is another owner's" in client.output
        client, _ = visit(tokens.token(visits=[])[1])
        assert client.exit_status() == 1
        assert "may visit no private tunnels only, not 'app'" in client.output
        relay.assert_calm()
    finally:
        tokens.close()
        strangers.close()


def test_what_is_public_is_not_visited(relay: Relay, connect: Any, another: Any, nginx: Nginx) -> None:
    """And a place to listen that is taken is said at once."""
    connect("--local", str(nginx.port), "--name", "app").url()
    client = another("--visit", "app", "--listen", str(free_port()))
    assert client.exit_status() == 1
    assert "app is no private tunnel: it has a public address" in client.output
    client = another("--visit", "app", "--listen", str(nginx.port))
    assert client.exit_status() == 1
    assert f"cannot listen on 127.0.0.1:{nginx.port}: Address already in use" in client.output


def test_rules_hold_for_visits_too(relay: Relay, connect: Any, another: Any, nginx: Nginx) -> None:
    """Those that need no request; one that does lets no visiting client in."""
    rules = {
        "denied": ["--deny", "127.0.0.1"],
        "asked": ["--basic", "me:$2b$12$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"],
    }
    for name, rule in rules.items():
        options = ["--local", str(nginx.port), "--private", "--name", name, *rule]
        another(*options).url()
        port = free_port()
        client = another("--visit", name, "--listen", str(port))
        visiting(client, port)
        curl(f"http://127.0.0.1:{port}/hello", status=56)
        client.wait_for(f"visiting {name}: ")
