"""The visitor's address at a real nginx that listens for the PROXY protocol, by both versions, through all tunnels."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay, free_port, listening
from tests.integration.papers import Papers
from tests.integration.programs import curl, program

CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log stderr warn; user root;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  server {{
    listen 127.0.0.1:{plain} proxy_protocol; listen unix:{folder}/socket proxy_protocol;
    listen 127.0.0.1:{tls} ssl proxy_protocol;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    location / {{ return 200 "$proxy_protocol_addr $proxy_protocol_port $connection\n"; }}
  }}
}}
"""


class Announced(Daemon):
    """An nginx that answers with what a PROXY header told it; without a header it closes."""

    def __init__(self, folder: Path) -> None:
        program("nginx")
        papers = Papers(folder)
        self.plain, self.tls, self.ca, self.socket = free_port(), free_port(), papers.ca, folder / "socket"
        (folder / "tmp").mkdir()
        configuration = folder / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(folder=folder, plain=self.plain, tls=self.tls, certificate=papers.cert, key=papers.key)
        )
        super().__init__(["nginx", "-p", str(folder), "-c", str(configuration)], folder)
        listening(self.plain)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Announced]:
    """One for all."""
    nginx = Announced(tmp_path_factory.mktemp("announced"))
    yield nginx
    nginx.end()


def ask(port: int, source: str, times: int = 1) -> list[tuple[str, str, str]]:
    """What nginx says of a visitor from this address, once for each request of one connection; and its own port."""
    with socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0)) as visitor:
        own, told, stream = str(visitor.getsockname()[1]), [], visitor.makefile("rb")
        for _ in range(times):
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: app.localhost:{port}\r\n\r\n".encode())
            while (line := stream.readline()) != b"\r\n":
                assert line, "the connection ended"
            told.append((*stream.readline().decode().split()[:2], own))
    return told  # type: ignore[return-value]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_tcp_tunnel_announces_its_visitors(connect: Callable[..., Client], service: Announced, version: str) -> None:
    """Address and port, from whichever address they come."""
    client = connect("--local", str(service.plain), "--tcp", "0", "--proxy-protocol", version)
    port = client.tcp_port()
    for source in ("127.0.0.1", "127.0.0.9"):
        ((address, told, own),) = ask(port, source)
        assert (address, told) == (source, own)
    client.assert_calm()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_http_tunnel_announces_who_asks(
    relay: Relay, connect: Callable[..., Client], service: Announced, version: str
) -> None:
    """No visitor is taken for the one before: connections to the service are not shared."""
    client = connect("--local", f"unix:{service.socket}", "--name", "app", "--proxy-protocol", version)
    client.url()
    for source in ("127.0.0.7", "127.0.0.8", "127.0.0.7"):
        for address, told, own in ask(relay.port, source, times=2):
            assert (address, told) == (source, own)
    client.assert_calm()


def test_the_header_comes_before_tls(relay: Relay, connect: Callable[..., Client], service: Announced) -> None:
    """Towards an ``https://`` target."""
    connect(
        "--local", f"https://127.0.0.1:{service.tls}", "--name", "app", "--proxy-protocol", "v2", "--local-insecure"
    ).url()
    ((address, told, own),) = ask(relay.port, "127.0.0.5")
    assert (address, told) == ("127.0.0.5", own)


def test_tls_that_passes_unopened_is_announced_too(
    relay: Relay, connect: Callable[..., Client], service: Announced
) -> None:
    """The header first, then the visitor's own ClientHello."""
    connect("--local", str(service.tls), "--tls", "app", "--proxy-protocol", "v2").url()
    told = curl(
        f"https://app.localhost:{relay.port}/",
        *("--insecure", "--resolve", f"app.localhost:{relay.port}:127.0.0.1", "--interface", "127.0.0.6"),
    )
    assert told.startswith(b"127.0.0.6 ")


def test_without_the_option_there_is_no_header(
    relay: Relay, connect: Callable[..., Client], service: Announced
) -> None:
    """Then this nginx answers nobody: the tests above can fail."""
    connect("--local", str(service.plain), "--name", "app").url()
    answer = curl(f"http://app.localhost:{relay.port}/", "--output", "-", "--write-out", "%{http_code}", status=None)
    assert answer.endswith((b"400", b"502"))
