"""Limits of tunnels with a real relay, a real client, nginx and curl; bench.limits measures how exact they are."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.daemons import Client, Relay
from tests.integration.rawhttp import get
from tests.integration.upstreams import Nginx

CONFIGURATION = """
[[tunnel]]
local = "{port}"
name = "slow"
rate = "2/h"
burst = 2

[[tunnel]]
local = "{port}"
name = "paced"
bandwidth-out = "1M"
bandwidth-in = "1M"

[[tunnel]]
local = "{port}"
tcp = 23960
rate = "1/h"

[[tunnel]]
local = "{port}"
tcp = 23961
max-connections = 1
"""


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[Relay]:
    """A relay and a client with a tunnel for each limit."""
    home = tmp_path_factory.mktemp("limits")
    running = Relay(home, "--tcp-ports", "23960-23961")
    file = home / "client.toml"
    file.write_text(CONFIGURATION.format(port=nginx.port))
    client = Client(running.ready(), "--config", str(file))
    for name in ("slow", "paced", "23960", "23961"):
        client.wait_for(rf"{name}\S* -> ")
    yield running
    for daemon in (client, running):
        daemon.assert_calm()
        daemon.end()


def test_beyond_the_rate_the_answer_says_when_to_come_again(relay: Relay) -> None:
    """The service is asked as often as it may be."""
    answers = [get(relay.port, relay.host("slow")) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    headers = answers[3].headers
    assert headers["x-egtunnel-error"] == "over-tunnel-rate"
    assert 0 < int(headers["retry-after"]) <= 1800
    assert headers["ratelimit-policy"] == '"tunnel";q=2;w=3600'


def test_a_paced_download_and_upload_arrive_whole(relay: Relay, nginx: Nginx) -> None:
    """Whatever they take: here a fraction of a second."""
    digest = nginx.file("quarter", 250_000)
    url = f"http://127.0.0.1:{relay.port}/quarter"
    for version in ("--http1.1", "--http2-prior-knowledge"):
        body = subprocess.run(
            ["curl", "-sf", version, "-H", f"Host: {relay.host('paced')}", url],
            capture_output=True, timeout=30, check=True,
        ).stdout  # fmt: skip
        assert subprocess.run(["sha256sum"], input=body, capture_output=True, check=True).stdout[:64].decode() == digest


def test_a_tcp_tunnel_takes_so_many(relay: Relay) -> None:
    """Of connections in an hour, and of connections at once."""
    assert [spoken(23960) for _ in range(3)] == [True, False, False]
    with socket.create_connection(("127.0.0.1", 23961), timeout=10) as first:
        assert not spoken(23961)
        first.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert first.recv(100).startswith(b"HTTP/1.1 200")


def spoken(port: int) -> bool:
    """Whether somebody answers there."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as visitor:
        try:
            visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return visitor.recv(100).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            return False
