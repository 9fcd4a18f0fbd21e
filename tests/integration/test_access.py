"""Rules for visitors with a real relay, a real client, nginx and curl."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import bcrypt
import pytest

from tests.integration.daemons import Client, Relay
from tests.integration.upstreams import Nginx

HELLO = "<h1>a real site</h1>\n"
HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
KEY = "a-key-of-some-length"
CONFIGURATION = """
[[tunnel]]
local = "{port}"
name = "password"
basic = "ali:{hash}"

[[tunnel]]
local = "{port}"
name = "key"
api-key = "{keys}"

[[tunnel]]
local = "{port}"
name = "away"
deny = "loopback"

[[tunnel]]
local = "{port}"
name = "here"
allow = ["loopback", "192.0.2.0/24"]
host-header = "here"

[[tunnel]]
local = "{port}"
tcp = 23950
deny = "127.0.0.0/8"

[[tunnel]]
local = "{port}"
tcp = 23951
allow = "127.0.0.0/8"
"""


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def relay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[Relay]:
    """A relay and a client with a tunnel for each rule."""
    home = tmp_path_factory.mktemp("access")
    running = Relay(home, "--tcp-ports", "23950-23951", "--workers", str(request.param))
    (home / "keys").write_text(f"{KEY}\n")
    file = home / "client.toml"
    file.write_text(CONFIGURATION.format(port=nginx.port, hash=HASH, keys=home / "keys"))
    client = Client(running.ready(), "--config", str(file))
    for name in ("password", "key", "away", "here", "23950", "23951"):
        client.wait_for(name)
    yield running
    for daemon in (client, running):
        daemon.assert_calm()
        assert not any(secret in daemon.output for secret in ("open sesame", KEY))
        daemon.end()


def curl(relay: Relay, name: str, *options: str, data: bytes = b"") -> tuple[int, str]:
    """Status and body of a request to a tunnel."""
    url = f"http://{relay.host(name)}/"
    where = f"{relay.host(name)}:127.0.0.1"
    done = subprocess.run(
        ["curl", "-s", "--resolve", where, "-w", "\\n%{http_code}", *options, url],
        input=data, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    body, _, status = done.stdout.decode().rpartition("\n")
    return int(status), body


def test_a_password_opens(relay: Relay) -> None:
    """The service is asked only then, and never hears the password."""
    assert curl(relay, "password", "-u", "ali:open sesame") == (200, HELLO)
    status, body = curl(relay, "password")
    assert status == 401 and HELLO not in body
    assert curl(relay, "password", "-u", "ali:wrong")[0] == 401
    assert curl(relay, "password", "-u", "ali:open sesame", "--http2-prior-knowledge") == (200, HELLO)


def test_a_key_opens(relay: Relay) -> None:
    """In either header."""
    assert curl(relay, "key", "-H", f"X-API-Key: {KEY}") == (200, HELLO)
    assert curl(relay, "key", "-H", f"Authorization: Bearer {KEY}") == (200, HELLO)
    assert curl(relay, "key")[0] == curl(relay, "key", "-H", "X-API-Key: other-key-of-a-length")[0] == 401


def test_an_address_opens_or_not(relay: Relay) -> None:
    """Also for an upload, whose body nobody takes."""
    assert curl(relay, "here") == (200, HELLO)
    assert curl(relay, "away")[0] == 403
    assert curl(relay, "away", "-d", "x" * 100_000)[0] == 403


@pytest.mark.parametrize(("port", "answer"), [(23950, b""), (23951, b"HTTP/1.1 200")])
def test_a_tcp_tunnel_is_closed_at_once_or_open(relay: Relay, port: int, answer: bytes) -> None:
    """Before a byte reaches the client."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as visitor:
        try:
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            said = visitor.recv(100)
        except ConnectionError:
            said = b""
    assert said.startswith(answer) and bool(said) == bool(answer)
