"""TLS that passes a relay unopened, with real visitors: curl, openssl, and hellos in the strangest pieces."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemons import Client, Daemon, Relay, SecureRelay, free_port, listening, until
from tests.integration.papers import Papers
from tests.integration.programs import curl, program, run
from tests.integration.rawhttp import Connection, get

OWN = "own.example"
CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log stderr warn; user root;
events {{ worker_connections 2048; }}
http {{
  access_log off; client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  server {{
    listen 127.0.0.1:{port} ssl http2; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {cert}; ssl_certificate_key {key};
    location / {{ return 200 "$ssl_server_name $server_protocol $ssl_protocol\n"; }}
  }}
  server {{ listen 127.0.0.1:{plain}; location / {{ return 200 "$http_host $server_protocol\n"; }} }}
}}
"""


class Upstream(Daemon):
    """An nginx with a certificate of its own, which the relay has never seen."""

    def __init__(self, folder: Path) -> None:
        program("nginx")
        self.papers = Papers(folder)
        self.papers.issue(OWN, "app.localhost", "app.relay.example")
        self.port, self.plain = free_port(), free_port()
        (folder / "tmp").mkdir()
        text = CONFIGURATION.format(
            folder=folder, port=self.port, plain=self.plain, cert=self.papers.cert, key=self.papers.key
        )
        (folder / "nginx.conf").write_text(text)
        super().__init__(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder)
        listening(self.port)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """One for all."""
    nginx = Upstream(tmp_path_factory.mktemp("tls-upstream"))
    yield nginx
    nginx.end()


@pytest.fixture
def app(connect: Callable[..., Client], upstream: Upstream) -> Client:
    """A TLS tunnel of the name ``app``, at a relay without certificates."""
    client = connect("--local", str(upstream.port), "--tls", "app")
    client.url()
    return client


def fetched(relay: Relay, host: str, upstream: Upstream, *options: str, status: int | None = 0) -> bytes:
    """What curl gets over HTTPS, believing the upstream's authority alone."""
    more = ["--cacert", str(upstream.papers.ca), "--resolve", f"{host}:{relay.port}:127.0.0.1", *options]
    return curl(f"https://{host}:{relay.port}/", *more, status=status)


def hello(host: str) -> bytes:
    """A real ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    visitor = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        visitor.do_handshake()
    return outgoing.read()


def said(port: int, *options: str) -> str:
    """All that ``openssl s_client`` says."""
    done = run([program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *options], data=b"", status=None)
    return (done.stdout + done.stderr).decode(errors="replace")


def test_visitors_see_the_certificate_of_the_service(relay: Relay, app: Client, upstream: Upstream) -> None:
    """The relay has none at all. HTTP/2 is between the two, as ALPN has it."""
    assert app.url() == f"tls://app.localhost:{relay.port}"
    assert fetched(relay, "app.localhost", upstream) == b"app.localhost HTTP/2.0 TLSv1.3\n"
    assert fetched(relay, "app.localhost", upstream, "--tls-max", "1.2") == b"app.localhost HTTP/2.0 TLSv1.2\n"
    shown = said(relay.port, "-servername", "app.localhost", "-CAfile", str(upstream.papers.ca))
    body = shown.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0]
    assert "".join(body.split()) in "".join(upstream.papers.cert.read_text().split())
    assert "Verify return code: 0 (ok)" in shown
    app.assert_calm()


def test_beside_certificates_of_the_relay(
    start_secure: Callable[..., SecureRelay], start: Any, upstream: Upstream, papers: Papers, nginx: Any
) -> None:
    """A name of HTTP ends at the relay, one of TLS does not; a host of one's own, too."""
    relay = start_secure()
    tls = start(Client(relay, "--local", f"https://127.0.0.1:{upstream.port}", "--tls", "app.relay.example"))
    own = start(Client(relay, "--local", str(upstream.port), "--tls", OWN.upper(), "--state", str(relay.home / "b")))
    web = start(Client(relay, "--local", str(nginx.port), "--name", "web", "--state", str(relay.home / "c")))
    for client in (tls, own, web):
        client.url()
    assert fetched(relay, "app.relay.example", upstream).startswith(b"app.relay.example")
    assert fetched(relay, OWN, upstream).startswith(OWN.encode())
    page = curl(
        f"https://web.relay.example:{relay.port}/hello",
        *("--cacert", str(papers.ca), "--resolve", f"web.relay.example:{relay.port}:127.0.0.1"),
    )
    assert page == b"hello from nginx\n"
    assert b"421" in curl(
        f"https://web.relay.example:{relay.port}/",
        *("--cacert", str(papers.ca), "--resolve", f"web.relay.example:{relay.port}:127.0.0.1"),
        *("--header", "Host: app.relay.example", "--write-out", "%{http_code}"),
    )


@pytest.mark.parametrize("piece", [1, 7, 300])
def test_a_hello_in_pieces(relay: Relay, app: Client, upstream: Upstream, piece: int) -> None:
    """Segments of a byte; the service gets it whole, and its answer comes back."""
    with Connection(relay.port) as visitor:
        visitor.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = hello("app.localhost")
        for at in range(0, len(data), piece):
            visitor.send(data[at : at + piece])
        assert visitor.socket.recv(3) == b"\x16\x03\x03"


def test_a_hello_in_many_records(relay: Relay, app: Client, upstream: Upstream) -> None:
    """RFC 8446 section 5.1: a handshake message may be spread over records. It arrives as it was sent."""
    message = hello("app.localhost")[5:]
    size = len(message) // 12 + 1
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    with Connection(relay.port) as visitor:
        visitor.send(b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts))
        assert visitor.socket.recv(3) == b"\x16\x03\x03"


def test_a_thousand_half_hellos_are_timed_out(tmp_path: Path, start: Any, upstream: Upstream) -> None:
    """Each has its seconds, and honest visitors are served meanwhile."""
    relay = Relay(
        tmp_path,
        "--tls-timeout",
        "3",
        "--max-handshakes",
        "2000",
        "--max-handshake-rate",
        "9000",
        "--max-per-address",
        "3000",
    )
    start(relay)
    client = start(Client(relay.ready(), "--local", str(upstream.port), "--tls", "app"))
    client.url()
    half, before = hello("app.localhost")[:200], relay.descriptors()
    visitors = []
    for _ in range(1000):
        visitors.append(Connection(relay.port))
        visitors[-1].send(half)
    assert fetched(relay, "app.localhost", upstream).startswith(b"app.localhost")
    for visitor in visitors:
        with contextlib.suppress(ConnectionResetError):
            assert visitor.socket.recv(100) == b"", "it was answered"
        visitor.socket.close()
    with until("the descriptors to come back") as deadline:
        while relay.descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.05)
    assert fetched(relay, "app.localhost", upstream).startswith(b"app.localhost")
    relay.assert_calm()


def test_who_cannot_be_served_hears_why(
    tmp_path: Path, relay: Relay, connect: Callable[..., Client], upstream: Upstream
) -> None:
    """By an alert, which openssl names."""
    tls = ["--local", str(upstream.port), "--tls"]
    connect(*tls, "denied", "--deny", "127.0.0.1", "--state", str(tmp_path / "a")).url()
    nobody = connect("--local", str(free_port()), "--tls", "nobody", "--state", str(tmp_path / "b"))
    nobody.url()
    connect(*tls, "one", "--max-connections", "1", "--state", str(tmp_path / "c")).url()
    assert "alert access denied" in said(relay.port, "-servername", "denied.localhost")
    assert "alert internal error" in said(relay.port, "-servername", "nobody.localhost")
    assert "alert handshake failure" in said(relay.port, "-servername", "unknown.localhost")
    with Connection(relay.port) as first:
        first.send(hello("one.localhost"))
        assert first.socket.recv(1) == b"\x16"
        assert "alert access denied" in said(relay.port, "-servername", "one.localhost")
    nobody.wait_for("connection refused; its visitors get an error")


def test_plain_http_is_sent_to_https(relay: Relay, app: Client) -> None:
    """Where the name has a TLS tunnel alone."""
    answer = get(relay.port, f"app.localhost:{relay.port}", "/page?a=b")
    assert (answer.status, answer.headers["location"]) == (308, f"https://app.localhost:{relay.port}/page?a=b")


def test_one_host_name_is_one_clients(tmp_path: Path, relay: Relay, connect: Any, upstream: Upstream) -> None:
    """Another one gets it neither for TLS nor for HTTP; the same one gets both."""
    both = tmp_path / "both.toml"
    both.write_text(
        f'[[tunnel]]\nlocal = "{upstream.port}"\ntls = "app"\n[[tunnel]]\nlocal = "{upstream.plain}"\nname = "app"\n'
    )
    client = connect("--config", str(both))
    client.wait_for(r"^tls://app\.")
    client.wait_for(r"^http://app\.")
    assert get(relay.port, "app.localhost", "/").body.startswith(b"app.localhost")
    assert fetched(relay, "app.localhost", upstream).startswith(b"app.localhost")
    state = ["--state", str(tmp_path / "another")]
    assert connect("--local", "80", "--tls", "app", *state).exit_status() == 1
    connect("--local", "80", "--tls", "only", "--state", str(tmp_path / "third")).url()
    refused = connect("--local", "80", "--name", "only", *state)
    assert refused.exit_status() == 1
    assert "the name only is taken" in refused.output


def test_the_client_can_end_tls(relay: Relay, connect: Any, upstream: Upstream, tmp_path: Path) -> None:
    """The key is at the client, the service speaks plain HTTP; a new certificate is shown without a restart."""
    papers = Papers(tmp_path)
    papers.issue("app.localhost")
    files = [str(papers.cert), str(papers.key)]
    client = connect("--local", str(upstream.plain), "--tls", "app", "--tls-terminate", *files)
    client.url()

    def fetch() -> bytes:
        more = ["--cacert", str(papers.ca), "--resolve", f"app.localhost:{relay.port}:127.0.0.1"]
        return curl(f"https://app.localhost:{relay.port}/", *more)

    def serial() -> str:
        return said(relay.port, "-servername", "app.localhost").split("-----BEGIN")[1].split("-----END")[0]

    assert fetch() == f"app.localhost:{relay.port} HTTP/1.1\n".encode()
    first = serial()
    papers.issue("app.localhost")
    assert serial() != first
    papers.cert.write_text("nonsense")
    assert fetch().startswith(b"app.localhost")
    client.wait_for("the certificate of before goes on")
    client.assert_calm()


def test_through_any_worker(tmp_path: Path, start: Any, upstream: Upstream) -> None:
    """Two processes: whichever takes the visitor."""
    relay = start(Relay(tmp_path, "--workers", "2"))
    client = start(Client(relay.ready(), "--local", str(upstream.port), "--tls", "app"))
    client.url()
    for _ in range(8):
        assert fetched(relay, "app.localhost", upstream).startswith(b"app.localhost")
    relay.assert_calm()
