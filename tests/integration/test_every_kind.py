"""All kinds of tunnels of one client beside each other: after a crash of the relay, all of them are there again."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemons import Client, Relay, free_port, until
from tests.integration.papers import Papers
from tests.integration.rawhttp import Connection, get
from tests.integration.test_tcp import echo
from tests.integration.test_udp import Echo
from tests.integration.upstreams import Nginx, Upstream


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_kind_is_there_again_after_a_crash(
    tmp_path: Path, start: Any, nginx: Nginx, papers: Papers, workers: str
) -> None:
    """HTTP by name and by host, TCP, UDP, TLS, and a private tunnel with its visitor; each with its public place."""
    papers.issue("shop.localhost")
    datagrams, here = Echo(), free_port()
    with Upstream(echo) as stream:
        (tmp_path / "client.toml").write_text(
            f"""
visit = ["inner"]
listen = ["{here}"]
tunnel = [
  {{ local = "{nginx.port}", name = "web" }},
  {{ local = "{nginx.port}", host = "own.example.org" }},
  {{ local = "{stream.port}", tcp = 0 }},
  {{ local = "{datagrams.port}", udp = 0 }},
  {{ local = "{stream.port}", tls = "shop", tls-terminate = ["{papers.cert}", "{papers.key}"] }},
  {{ local = "{stream.port}", name = "inner", private = true }},
]
"""
        )
        options = ["--tcp-ports", "22600-22609", "--udp-ports", "22600-22609", "--workers", workers]
        relay = start(Relay(tmp_path, *options))
        client = start(Client(relay.ready(), "--config", str(tmp_path / "client.toml")))
        client.wait_for("-> private://inner")
        serves(relay.port, here, papers)
        relay.kill()
        lines = len(client.lines)
        again = start(Relay(tmp_path, *options, port=relay.port))
        client.wait_for("connected again", after=lines)
        client_lines = [line for line in client.lines[lines:] if " -> " in line]
        assert client_lines == [], "a public address has changed"
        serves(again.port, here, papers)
        for daemon in (again, client):
            daemon.assert_calm()
    datagrams.socket.close()


def serves(port: int, here: int, papers: Papers) -> None:
    """All of them do what they are there for."""
    assert get(port, "web.localhost", "/hello").body == b"hello from nginx\n"
    assert get(port, "own.example.org", "/hello").body == b"hello from nginx\n"
    for place in (22600, here):
        with Connection(place) as visitor:
            visitor.send(b"ping")
            visitor.finish()
            assert visitor.rest() == b"ping"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, until("a datagram to come back") as deadline:
        udp.settimeout(0.5)
        answer = b""
        while not answer and time.monotonic() < deadline:
            udp.sendto(b"ping", ("127.0.0.1", 22600))
            try:
                answer = udp.recv(100)
            except TimeoutError:
                continue
        assert answer == b"ping"
    context = ssl.create_default_context(cafile=str(papers.ca))
    raw = socket.create_connection(("127.0.0.1", port), 30)
    with context.wrap_socket(raw, server_hostname="shop.localhost") as visitor:
        visitor.sendall(b"ping")
        assert visitor.recv(100) == b"ping"
