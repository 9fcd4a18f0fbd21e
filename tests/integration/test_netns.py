"""Networks that fail without a word, between two namespaces: noticed in time by both sides, and mended without help."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, Relay, until
from tests.integration.namespaces import FAR, NEAR, Network, inside, missing
from tests.integration.rawlink import token_of
from tests.integration.upstreams import Upstream

pytestmark = pytest.mark.netns

NOTICED = 45.0
"""A promise of the product: so many seconds after the last packet both sides know that the link is dead."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


def greet(connection: socket.socket) -> None:
    """Answer one request."""
    if connection.recv(65_536):
        connection.sendall(ANSWER)


@attrs.frozen
class Road:
    """A client in the near namespace, a relay in the far one, visitors beside the relay."""

    network: Network
    relay: Relay
    client: Client

    def get(self) -> bytes:
        """What a visitor gets, the whole answer."""
        with self.network.connect(self.network.far, FAR, self.relay.port, 30) as visitor:
            host = self.relay.host("road")
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while data := visitor.recv(65_536):
                answer += data
            return answer

    def served(self) -> bool:
        """Whether the tunnel works."""
        answer = self.get()
        return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"hello")


@pytest.fixture
def road(tmp_path: Path, start: Callable[[Daemon], Daemon]) -> Iterator[Road]:
    """The tunnel ``road`` across a network of the test's own."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network())
        upstream = stack.enter_context(inside(network.near, lambda: Upstream(greet)))
        relay = Relay(tmp_path, "--interface", FAR, prefix=network.prefix(network.far))
        stack.callback(relay.end)
        with until("the relay to listen") as deadline:
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), network.connect(network.far, FAR, relay.port):
                    break
                time.sleep(0.1)
        token = tmp_path / "token"
        token.write_text(token_of(relay))
        token.chmod(0o600)
        options = ["--relay", f"ws://{FAR}:{relay.port}", "--insecure", "--token-file", str(token)]
        options += ["--local", str(upstream.port), "--name", "road"]
        client = Client(relay, *options, prefix=network.prefix(network.near))
        stack.callback(client.end)
        client.url()
        yield Road(network, relay, client)


def test_packets_dropped_silently_are_noticed_by_both_sides_and_the_client_comes_back(road: Road) -> None:
    """Both sides know within 45 s of the last packet; with packets comes the same URL, and the session goes on."""
    assert road.served()
    road.network.drop()
    deadline = time.monotonic() + NOTICED
    seen = len(road.client.lines)
    noticed = "the connection to the relay is lost.*heartbeat|cannot reach the relay.*no connection within"
    road.client.wait_for(noticed, deadline - time.monotonic(), after=seen)
    road.relay.wait_for("has lost its link: heartbeat-lost", deadline - time.monotonic())
    road.network.restore()
    road.client.wait_for("connected again", 60, after=seen)
    assert road.served()
    urls = {line for line in road.client.lines if " -> " in line and line.startswith("http")}
    assert len(urls) == 1, "the same URL as before"
    for daemon in (road.client, road.relay):
        daemon.assert_calm()


@pytest.mark.parametrize("side", ["near", "far"])
def test_a_connection_killed_under_the_daemons_is_made_anew(road: Road, side: str) -> None:
    """``ss -K`` on either machine, three times: each time the client is back, and so is the URL."""
    namespace, peer = {"near": (road.network.near, FAR), "far": (road.network.far, NEAR)}[side]
    for _ in range(3):
        assert road.served()
        seen = len(road.client.lines)
        road.network.kill_connections(namespace, peer)
        road.client.wait_for("connected again", after=seen)
    assert road.served()
    links = [line for line in road.relay.lines if "admitted client" in line or "goes on, from" in line]
    assert len(links) == 4, road.relay.output
    for daemon in (road.client, road.relay):
        daemon.assert_calm()


def test_the_namespaces_are_gone_when_a_test_fails() -> None:
    """Whatever happens within, nothing is left of a network."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    network = Network()
    with pytest.raises(ZeroDivisionError), network:
        assert Path(f"/run/netns/{network.near}").exists()
        raise ZeroDivisionError
    assert not any(Path(f"/run/netns/{name}").exists() for name in (network.near, network.far, network.router))
