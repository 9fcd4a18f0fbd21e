"""Signed webhooks, with a real relay and client: what goes through, what does not, and what is held meanwhile."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay
from tests.integration.transfers import MIB, WebService, blocks, growth

SECRET = "a secret that nobody else may read"
SIZE = 25


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relay, Client, Client]]:
    """A relay, a client whose tunnel takes GitHub's webhooks, and one for Slack's."""
    home = tmp_path_factory.mktemp("webhooks")
    (home / "secret").write_text(SECRET + "\n")
    daemons: list[Daemon] = []
    with WebService() as service:
        try:
            relay = Relay(home)
            daemons.append(relay)
            relay.ready()
            clients = []
            for kind in ("github", "slack"):
                (home / kind).mkdir()
                options = ("--name", kind, "--webhook", kind, "--webhook-secret-file", str(home / "secret"))
                clients.append(Client(relay, "--local", str(service.port), "--state", str(home / kind), *options))
                daemons.append(clients[-1])
            for client in clients:
                client.url()
            yield relay, clients[0], clients[1]
        finally:
            for daemon in reversed(daemons):
                daemon.end()


def post(relay: Relay, name: str, body: bytes, **headers: str) -> tuple[int, str, str]:
    """Status, text and the relay's own word."""
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=60)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/hook", body, {"Host": relay.host(name), **fields})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), answer.headers.get("X-Egtunnel-Error", "")
    connection.close()
    return found


def github(body: bytes) -> str:
    return "sha256=" + hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()


def test_a_large_body_passes_with_bounded_memory(hooks: tuple[Relay, Client, Client]) -> None:
    """25 MiB: held once by the relay and checked, then passed on whole; the client holds no more than ever."""
    relay, client, _ = hooks
    body = b"".join(blocks(SIZE))
    with growth(relay, client) as grown:
        status, text, _ = post(relay, "github", body, X_Hub_Signature_256=github(body))
    assert (status, text) == (200, f"{hashlib.sha256(body).hexdigest()} {len(body)} sized")
    assert grown["Relay"] < 3 * SIZE * MIB
    assert grown["Client"] < 16 * MIB


def test_one_flipped_byte_is_refused(hooks: tuple[Relay, Client, Client]) -> None:
    """And a body without signature, and one with that of another secret."""
    relay = hooks[0]
    body = bytearray(b"".join(blocks(1)))
    signature = github(bytes(body))
    body[len(body) // 2] ^= 1
    assert post(relay, "github", bytes(body), X_Hub_Signature_256=signature)[::2] == (403, "bad-signature")
    assert post(relay, "github", b"{}")[::2] == (403, "bad-signature")
    other = "sha256=" + hmac.digest(b"another secret", b"{}", hashlib.sha256).hex()
    assert post(relay, "github", b"{}", X_Hub_Signature_256=other)[::2] == (403, "bad-signature")


@pytest.mark.parametrize(("age", "status", "word"), [(0, 200, ""), (3600, 403, "old-signature")])
def test_an_old_timestamp_is_refused(hooks: tuple[Relay, Client, Client], age: int, status: int, word: str) -> None:
    """However right its signature is."""
    moment = int(time.time()) - age
    signature = "v0=" + hmac.digest(SECRET.encode(), b"v0:%d:{}" % moment, hashlib.sha256).hex()
    found = post(hooks[0], "slack", b"{}", X_Slack_Signature=signature, X_Slack_Request_Timestamp=str(moment))
    assert found[::2] == (status, word)


def test_the_secret_is_written_nowhere(hooks: tuple[Relay, Client, Client]) -> None:
    """Not into a log, the state folder or a process list; only the file it came from has it."""
    relay = hooks[0]
    for daemon in hooks:
        daemon.assert_calm()
        assert SECRET not in daemon.output
        assert SECRET.encode() not in Path(f"/proc/{daemon.pid}/cmdline").read_bytes()
    files = [file for file in relay.home.rglob("*") if file.is_file()]
    assert any(file.name == "names.json" for file in files)
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == ["secret"]


def test_several_processes(tmp_path: Path, start: Callable[[Daemon], Daemon]) -> None:
    """Each worker keeps the rule, whichever a visitor comes to."""
    (tmp_path / "secret").write_text(SECRET)
    relay = Relay(tmp_path, "--workers", "2")
    start(relay)
    relay.ready()
    with WebService() as service:
        options = ("--name", "hooks", "--webhook", "github", "--webhook-secret-file", str(tmp_path / "secret"))
        client = Client(relay, "--local", str(service.port), *options)
        start(client)
        client.url()
        for _ in range(6):
            assert post(relay, "hooks", b"{}", X_Hub_Signature_256=github(b"{}"))[0] == 200
            assert post(relay, "hooks", b"{ }", X_Hub_Signature_256=github(b"{}"))[0] == 403
