"""Tokens of the store, with a real relay and real clients: what they may do, and what ends them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from egtunnel.access.tokens import new_token
from tests.integration.daemons import Client, Daemon, Relay, until
from tests.integration.rawhttp import Connection, get
from tests.integration.steady import SteadyLoad
from tests.integration.token_store import TokenStore, state_folder
from tests.integration.upstreams import Nginx
from tests.store.postgres import Postgres

CHECKOUT = Path(__file__).resolve().parents[2]
Start = Callable[[Daemon], Daemon]
HELLO = b"hello from nginx\n"
DEMO: dict[str, Any] = {"kinds": ["http"], "names": ["demo-*"], "tunnels": 2}


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenStore]:
    """The SQLite file of the relay in this test's folder."""
    store = TokenStore(tmp_path)
    yield store
    store.close()


def started(start: Start, home: Path, *options: str) -> Relay:
    """A relay with a store."""
    relay = Relay(home, "--tcp-ports", "23900-23949", *options)
    start(relay)
    return relay.ready()


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def relay(request: pytest.FixtureRequest, tmp_path: Path, tokens: TokenStore, start: Start) -> Relay:
    """A relay whose store holds the tokens."""
    return started(
        start, tmp_path, "--store", "sqlite", "--audit-log", str(tmp_path / "audit"), "--workers", str(request.param)
    )


def test_a_limited_token_gets_no_more_than_it_may(relay: Relay, tokens: TokenStore, start: Start, nginx: Nginx) -> None:
    """A third tunnel, another name, a TCP port: refused, each with the rule; tunnels are counted over all clients."""
    _, variables = tokens.token(**DEMO)
    local = ("--local", str(nginx.port))

    def client(folder: str, *options: str) -> Client:
        state = relay.home / folder
        state.mkdir()
        running = Client(relay, *local, "--state", str(state), *options, env=variables)
        start(running)
        return running

    first, second = client("one", "--name", "demo-one"), client("two", "--name", "demo-two")
    assert first.url().startswith("http://demo-one.") and second.url().startswith("http://demo-two.")
    for number, (options, rule) in enumerate(
        [(("--name", "demo-three"), "tunnels"), (("--name", "other"), "names"), (("--tcp", "0"), "kinds")]
    ):
        refused = client(f"refused{number}", *options)
        assert refused.exit_status() == 1
        assert f"(rule '{rule}' of its scope)" in refused.output
        refused.assert_calm()
    assert get(relay.port, relay.host("demo-two"), "/hello").body == HELLO
    rules = {"scope-tunnels", "scope-names", "scope-kinds"}
    with until("the refusals to be noted") as deadline:
        while {found.rule for found in tokens.refusals()} != rules and time.monotonic() < deadline:
            time.sleep(0.05)
    second.stop()
    assert client("later", "--name", "demo-four").url().startswith("http://demo-four.")
    relay.stop()
    lines = [json.loads(line) for line in (relay.home / "audit").read_text().splitlines()]
    assert {line["rule"] for line in lines} == rules
    assert variables["EGTUNNEL_TOKEN"] not in (relay.home / "audit").read_text() + relay.output
    relay.assert_calm()


def token_command(home: Path, *words: str) -> str:
    """What ``egtunnel token`` prints, beside a relay that runs."""
    command = [sys.executable, "-m", "egtunnel", "token", *words, "--state", str(state_folder(home))]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=True).stdout


def test_a_revoked_token_ends_a_download_within_a_second(relay: Relay, start: Start, nginx: Nginx) -> None:
    """Made and revoked by the command; the visitor's connection breaks, and the client says one line and ends."""
    variables = {"EGTUNNEL_TOKEN": token_command(relay.home, "create", "laptop").strip()}
    nginx.file("large", 256 << 20)
    client = Client(relay, "--local", str(nginx.port), "--name", "down", "--links", "2", env=variables)
    start(client)
    client.url()
    lines = len(client.lines)
    with Connection(relay.port) as visitor:
        visitor.send(f"GET /large HTTP/1.1\r\nHost: {relay.host('down')}\r\n\r\n".encode())
        assert visitor.socket.recv(65_536)
        token_command(relay.home, "revoke", variables["EGTUNNEL_TOKEN"].split("_")[1])
        asked = time.monotonic()
        assert client.exit_status() == 1
        took = time.monotonic() - asked
    said = [line for line in client.lines[lines:] if "revoked" in line]
    print(f"revoked: the client had ended after {took:.2f} s")
    assert len(said) == 1 and not any("connecting again" in line for line in client.lines)
    again = Client(relay, "--local", str(nginx.port), env=variables)
    start(again)
    assert again.exit_status() == 1
    assert "this token was revoked" in again.output


def test_the_relays_own_token_is_good_for_everything(
    relay: Relay, tokens: TokenStore, start: Start, nginx: Nginx
) -> None:
    """And who has it does not notice that there is a store; a token that is in no store is refused."""
    own = Client(relay, "--local", str(nginx.port), "--name", "own")
    start(own)
    own.url()
    stranger = Client(relay, "--local", str(nginx.port), env={"EGTUNNEL_TOKEN": new_token().text})
    start(stranger)
    assert stranger.exit_status() == 1
    assert "does not know this token" in stranger.output


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server; a test that stops it starts it again."""
    server = Postgres()
    yield server
    server.end()


def test_a_database_that_is_away_harms_no_tunnel(
    postgres: Postgres, tmp_path: Path, start: Start, nginx: Nginx
) -> None:
    """Under load nothing fails; a known token is let in, another is told to wait, and gets in afterwards."""
    address = postgres.database()
    tokens = TokenStore(tmp_path, address)
    file = tmp_path / "relay.toml"
    file.write_text(f'store = "{address}"\n')
    file.chmod(0o600)
    relay = started(start, tmp_path, "--config", str(file))
    (_, known), (_, other) = tokens.token(), tokens.token()
    client = Client(relay, "--local", str(nginx.port), "--name", "steady", env=known)
    start(client)
    client.url()
    with SteadyLoad(relay.port, [relay.host("steady")], "/hello", HELLO) as load:
        load.more(50)
        postgres.stop()
        try:
            late = Client(relay, "--local", str(nginx.port), "--name", "late", "--state", str(tmp_path), env=other)
            start(late)
            late.wait_for("its store is away")
            relay.wait_for("the store is away")
            load.more(200)
        finally:
            postgres.start()
        late.url()
        load.more(50)
    tokens.close()
    assert load.failures == []
    assert postgres.password not in relay.output
    relay.assert_calm()


@pytest.mark.parametrize("workers", [1, 2])
def test_names_and_hosts_belong_to_owners(
    workers: int, tokens: TokenStore, start: Start, nginx: Nginx, tmp_path: Path
) -> None:
    """A reserved name is refused to other tokens, also to the relay's own; a custom host wants a proof in DNS."""
    command = [sys.executable, "-m", "egtunnel", "name", "reserve", "name", "shop", "--owner", tokens.owner]
    subprocess.run(
        [*command, "--state", str(state_folder(tmp_path))], cwd=CHECKOUT, check=True, capture_output=True, timeout=60
    )
    relay = started(start, tmp_path, "--store", "sqlite", "--resolver", "127.0.0.1:1", "--workers", str(workers))
    _, owners = tokens.token()
    local = ("--local", str(nginx.port))

    def client(folder: str, *options: str, **more: Any) -> Client:
        state = relay.home / folder
        state.mkdir()
        running = Client(relay, *local, "--state", str(state), *options, **more)
        start(running)
        return running

    other = client("other", "--name", "shop")
    other.wait_for("name shop is reserved for its owner")
    owner = client("owner", "--name", "shop", env=owners)
    owner.url()
    assert get(relay.port, relay.host("shop")).status == 200
    unproven = client("unproven", "--host", "www.custom.test", env=owners)
    unproven.wait_for(re.escape(f"set the TXT record _egtunnel.www.custom.test to egtunnel-owner={tokens.owner}"))
