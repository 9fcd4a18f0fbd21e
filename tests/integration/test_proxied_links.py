"""Clients in networks from which nothing but a real proxy leads out: they connect, serve, and come back."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, Relay, SecureRelay, free_port, listening, until
from tests.integration.namespaces import FAR, Network, inside, missing, run
from tests.integration.papers import Papers
from tests.integration.programs import curl
from tests.integration.proxy_servers import Dante, Tinyproxy
from tests.integration.rawlink import token_of
from tests.integration.test_netns import greet
from tests.integration.upstreams import Nginx, Upstream

ROUTER = "10.78.1.1"


@attrs.frozen
class Island:
    """A client's namespace whose packets are not passed on, a relay in another, and a router that may run a proxy."""

    folder: Path
    network: Network
    relay: Relay
    service: int
    start: Callable[[Any], Any]

    @property
    def router(self) -> list[str]:
        """Starts a program on the router."""
        return self.network.prefix(self.network.router)

    def client(self, *options: str, env: dict[str, str] | None = None) -> Client:
        """A client on the island."""
        link = ["--relay", f"ws://{FAR}:{self.relay.port}", "--insecure", "--token-file", str(self.folder / "token")]
        words = [*link, "--local", str(self.service), "--name", "road", *options]
        client: Client = self.start(Client(self.relay, *words, env=env, prefix=self.network.prefix(self.network.near)))
        return client

    def served(self) -> bool:
        """What a visitor beside the relay gets."""
        with self.network.connect(self.network.far, FAR, self.relay.port, 30) as visitor:
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {self.relay.host('road')}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while data := visitor.recv(65_536):
                answer += data
        return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"hello")


@pytest.fixture
def island(tmp_path: Path, start: Callable[[Any], Any]) -> Iterator[Island]:
    """Nothing is forwarded: only what the router itself does leads out."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network())
        network.drop()
        upstream = stack.enter_context(inside(network.near, lambda: Upstream(greet)))
        relay = Relay(tmp_path, "--interface", FAR, prefix=network.prefix(network.far))
        stack.callback(relay.end)
        reachable(network, network.far, FAR, relay.port)
        (tmp_path / "token").touch(mode=0o600)
        (tmp_path / "token").write_text(token_of(relay))
        yield Island(tmp_path, network, relay, upstream.port, start)


def reachable(network: Network, namespace: str, host: str, port: int) -> None:
    with until(f"{host}:{port} to listen") as deadline:
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), network.connect(namespace, host, port):
                return
            time.sleep(0.05)


def works(island: Island, client: Client) -> None:
    """It serves; it comes back when its connections are cut, and when the relay begins anew."""
    client.url()
    assert island.served()
    lines = len(client.lines)
    run("ip", "netns", "exec", island.network.router, "ss", "-K", "dst", FAR)
    client.wait_for("connected again", after=lines)
    assert island.served()
    client.assert_calm()


@pytest.mark.netns
def test_without_the_proxy_there_is_no_way(island: Island) -> None:
    """Or the tests below would show nothing."""
    with pytest.raises(OSError):
        island.network.connect(island.network.near, FAR, island.relay.port, 1.0)


@pytest.mark.netns
@pytest.mark.parametrize("how", ["option", "variable"])
def test_through_an_http_proxy(island: Island, how: str) -> None:
    """A real tinyproxy with a login, by ``--proxy`` and by the variable; the password shows nowhere."""
    island.start(Tinyproxy(island.folder, 3128, listen=ROUTER, login="me:pa55w0rd", prefix=island.router))
    reachable(island.network, island.network.near, ROUTER, 3128)
    url = f"http://me:pa55w0rd@{ROUTER}:3128"
    client = island.client("--proxy", url) if how == "option" else island.client(env={"HTTP_PROXY": url})
    works(island, client)
    assert "pa55w0rd" not in client.output


@pytest.mark.netns
def test_through_a_socks_proxy(island: Island) -> None:
    """A real dante."""
    island.start(Dante(island.folder, 1080, ROUTER, "10.78.2.1", prefix=island.router))
    reachable(island.network, island.network.near, ROUTER, 1080)
    works(island, island.client("--proxy", f"socks5://{ROUTER}"))


@pytest.mark.netns
def test_a_proxy_that_comes_late_is_waited_for(island: Island) -> None:
    """The client says what is wrong, once, and goes on trying."""
    client = island.client("--proxy", f"http://{ROUTER}:3128")
    client.wait_for(r"cannot reach the relay .*: the proxy http://10\.78\.1\.1:3128: connection refused; trying again")
    island.start(Tinyproxy(island.folder, 3128, listen=ROUTER, prefix=island.router))
    client.url()
    assert island.served()


def test_tls_through_a_proxy_ends_at_the_relay(
    tmp_path: Path, start: Any, start_secure: Callable[..., SecureRelay], papers: Papers, nginx: Nginx
) -> None:
    """``wss://`` within CONNECT: the proxy sees TLS alone, and the relay's certificate is what counts."""
    relay = start_secure()
    proxy = start(Tinyproxy(tmp_path, free_port()))
    listening(proxy.port)
    client = start(
        Client(relay, "--local", str(nginx.port), "--name", "app", "--proxy", f"http://127.0.0.1:{proxy.port}")
    )
    client.url()
    assert curl(f"https://{relay.host('app')}/hello", *papers.curl_options(relay.port)) == b"hello from nginx\n"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["ConnectPort 443"], "403 Access violation; it does not let us through"),
        (["BasicAuth me secret"], "407 Proxy Authentication Required; it wants a login"),
    ],
)
def test_a_proxy_that_refuses(tmp_path: Path, relay: Relay, start: Any, lines: list[str], words: str) -> None:
    """In its own words, and with what to do."""
    proxy = start(Tinyproxy(tmp_path, free_port(), *lines))
    listening(proxy.port)
    client = start(Client(relay, "--local", "80", "--proxy", f"http://127.0.0.1:{proxy.port}"))
    client.wait_for(f"the proxy http://127.0.0.1:{proxy.port}: it answered {words}")


def test_headers_and_host_reach_whatever_stands_before_the_relay(
    tmp_path: Path, relay: Relay, start: Any, nginx: Nginx
) -> None:
    """A front that lets in by header and sends on by Host, as CDNs do: a real nginx."""
    port = free_port()
    (tmp_path / "front").mkdir()
    (tmp_path / "front" / "nginx.conf").write_text(
        f"""daemon off; pid {tmp_path}/front/pid; worker_processes 1; error_log stderr warn; events {{ }}
http {{ access_log off;
  server {{ listen 127.0.0.1:{port} default_server; return 403; }}
  server {{ listen 127.0.0.1:{port}; server_name front.example;
    location /own/way {{
      if ($http_x_pass != "let me in") {{ return 401; }}
      proxy_pass http://127.0.0.1:{relay.port}/connect; proxy_http_version 1.1; proxy_read_timeout 600;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Host localhost;
    }} }} }}
"""
    )
    start(Daemon(["nginx", "-p", str(tmp_path / "front"), "-c", str(tmp_path / "front" / "nginx.conf")], tmp_path))
    listening(port)
    link = ["--relay", f"ws://127.0.0.1:{port}", "--link-path", "/own/way", "--local", str(nginx.port), "--name", "app"]
    assert "403" in start(Client(relay, *link)).wait_for("cannot reach the relay.*").group()
    host = ["--link-host", "front.example"]
    assert "401" in start(Client(relay, *link, *host)).wait_for("cannot reach the relay.*").group()
    client = start(Client(relay, *link, *host, "--link-header", "X-Pass: let me in"))
    client.url()
    assert curl(f"http://app.localhost:{relay.port}/hello") == b"hello from nginx\n"


def test_a_relay_whose_first_address_is_dead_is_reached_by_the_other(tmp_path: Path) -> None:
    """Happy eyeballs (RFC 8305): the name has an IPv6 address that swallows all, and a good IPv4 one."""
    program = """
import socket, sys, time
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import Factory, Protocol
from egtunnel.client.relay_address import parse_relay
from egtunnel.client.link_tls import RelayTls
from egtunnel.client.connection import road
from egtunnel.client.upstream import UpstreamLimits
good = socket.create_server(("127.0.0.1", 0)); port = good.getsockname()[1]
dead = socket.socket(socket.AF_INET6); dead.bind(("::1", port)); dead.listen(0)
fill = []
for _ in range(4):
    fill.append(socket.socket(socket.AF_INET6)); fill[-1].setblocking(False); fill[-1].connect_ex(("::1", port))
class Names:
    def resolveHostName(self, receiver, host, *more, **other):
        receiver.resolutionBegan(None)
        receiver.addressResolved(IPv6Address("TCP", "::1", port))
        receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", port))
        receiver.resolutionComplete()
reactor.installNameResolver(Names())
way = road(reactor, parse_relay(f"ws://relay.example:{port}"), RelayTls(), UpstreamLimits())
began = time.monotonic()
def there(protocol):
    print("reached", protocol.transport.getPeer().host, time.monotonic() - began < 5); reactor.stop()
def failed(reason):
    print(reason); reactor.stop()
reactor.callWhenRunning(lambda: way.endpoint.connect(Factory.forProtocol(Protocol)).addCallbacks(there, failed))
reactor.run()
"""
    import sys

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "reached 127.0.0.1 True", done.stdout + done.stderr
