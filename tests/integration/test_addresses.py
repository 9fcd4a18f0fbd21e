"""The visitor's address reaches the service and the access log, directly and through proxies; forged ones do not."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from tests.client.certificates import Authority
from tests.integration.daemons import Client, Daemon, Relay, free_port, listening
from tests.integration.programs import program
from tests.integration.rawhttp import Connection
from tests.integration.test_access_log import lines_of
from tests.integration.upstreams import Nginx
from tests.proxies import certificate, haproxy_tcp_cfg, nginx_conf

Start = Callable[[Daemon], Daemon]
PROXY, VISITOR, FORGED = "127.0.0.1", "127.0.0.9", "203.0.113.66"
"""The proxy and the visitor have addresses of this machine; nobody has the third."""

FORGERY = "".join(
    f"{line}\r\n"
    for line in (
        f"X-Forwarded-For: {FORGED}",
        f"X_Forwarded_For: {FORGED}",
        f"x-forwarded-for: {FORGED}, {FORGED}",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        f"X-Real-IP: {FORGED}",
        f'Forwarded: for="{FORGED}";proto=https;host=evil.example',
    )
)


@attrs.frozen
class Seen:
    """What the service saw of a visitor, and what the access log says."""

    address: str
    scheme: str
    forwarded: str
    line: dict[str, object]


class Way:
    """A tunnel to nginx's ``/echo-headers``, and the port where a visitor asks for it."""

    def __init__(self, folder: Path, start: Start, nginx: Nginx, *options: str, port: int = 0) -> None:
        self.log = folder / "access.log"
        more = ("--access-log", str(self.log), "--access-log-format", "json", "--tcp-ports", "none")
        self.relay = Relay(folder, *more, *options, port=port)
        start(self.relay)
        self.client = Client(self.relay.ready(), "--local", str(nginx.port), "--name", "app")
        start(self.client)
        self.client.url()

    def ask(
        self, port: int = 0, source: str = VISITOR, forged: str = FORGERY, tls: ssl.SSLContext | None = None
    ) -> Seen:
        """Ask as a visitor from there, who claims to be somebody else."""
        with Connection(port or self.relay.port, source=source) as visitor:
            if tls is not None:
                visitor.socket = tls.wrap_socket(visitor.socket, server_hostname="app.localhost")
            head = f"GET /echo-headers?token=secret HTTP/1.1\r\nHost: {self.relay.host('app')}\r\n{forged}"
            visitor.send(f"{head}Connection: close\r\n\r\n".encode())
            answer = visitor.answer()
        assert answer.status == 200, answer
        _, address, scheme, forwarded = answer.body.decode().strip().split("|")
        line = json.loads(lines_of(self.log, "/echo-headers")[-1])
        assert FORGED not in answer.body.decode() + str(line) and "evil" not in answer.body.decode()
        assert "secret" not in self.log.read_text()
        return Seen(address, scheme, forwarded, line)


def test_direct_and_forged(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """Nobody is named with ``--trust``: the address of the connection is the visitor's, whatever it says."""
    seen = Way(tmp_path, start, nginx).ask()
    assert (seen.address, seen.scheme) == (VISITOR, "http")
    assert (seen.line["client"], seen.line["scheme"], seen.line["tunnel"]) == (VISITOR, "http", "app")


def test_behind_haproxy_with_proxy_version_2(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """haproxy passes bytes and names the visitor; what the visitor says in HTTP still counts for nothing."""
    port, plain, secure = free_port(), free_port(), free_port()
    way = Way(tmp_path, start, nginx, "--trust", PROXY, port=port)
    conf = haproxy_tcp_cfg(tmp_path, plain=plain, secure=secure, relay=port)
    start(Daemon([program("haproxy"), "-db", "-f", str(conf)], tmp_path))
    listening(plain)
    seen = way.ask(plain)
    assert (seen.address, seen.scheme) == (VISITOR, "http")
    assert (seen.line["client"], seen.line["scheme"]) == (VISITOR, "http")
    forged = way.ask()  # past the proxy, from an address that nobody named
    assert (forged.address, forged.line["client"]) == (VISITOR, VISITOR)


def test_behind_nginx_with_tls(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """nginx ends TLS and names the visitor in X-Forwarded-For: for the service he came by https, from his address."""
    port, plain, secure = free_port(), free_port(), free_port()
    authority = Authority(tmp_path)
    pem = certificate(authority, tmp_path, "localhost", "*.localhost", "app.localhost")
    conf = nginx_conf(tmp_path, pem, domain="localhost", plain=plain, secure=secure, relay=port)
    way = Way(tmp_path, start, nginx, "--trust", PROXY, port=port)
    start(Daemon([program("nginx"), "-p", str(tmp_path), "-c", str(conf)], tmp_path))
    listening(secure)
    seen = way.ask(secure, tls=ssl.create_default_context(cafile=str(authority.file)))
    assert (seen.address, seen.scheme) == (f"{VISITOR}, {PROXY}", "https")
    assert seen.forwarded.startswith(f"for={VISITOR};") and "proto=https" in seen.forwarded
    assert (seen.line["client"], seen.line["scheme"]) == (VISITOR, "https")
    forged = way.ask()  # past the proxy
    assert (forged.address, forged.scheme, forged.line["client"]) == (VISITOR, "http", VISITOR)


@pytest.mark.parametrize("header", [f"X-Forwarded-For: {FORGED}, 192.0.2.1, 10.9.9.9", "Forwarded: for=192.0.2.1"])
def test_a_row_of_proxies(tmp_path: Path, start: Start, nginx: Nginx, header: str) -> None:
    """Named networks are followed to the first address that is in none of them."""
    way = Way(tmp_path, start, nginx, "--trust", PROXY, "--trust", "10.0.0.0/8")
    seen = way.ask(source=PROXY, forged=f"{header}\r\n")
    assert seen.address.split(", ")[0] == seen.line["client"] == "192.0.2.1"
    assert seen.address.endswith(PROXY)


def test_over_http2_as_well(tmp_path: Path, start: Start, nginx: Nginx) -> None:
    """A proxy that speaks HTTP/2 to the relay is believed, and nobody else; ``:scheme`` is no word of a proxy."""
    way = Way(tmp_path, start, nginx, "--trust", PROXY)
    told = ["--header", "X-Forwarded-For: 192.0.2.1", "--header", "X-Forwarded-Proto: https"]
    expected = {PROXY: ["192.0.2.1, 127.0.0.1", "https", "192.0.2.1"], VISITOR: [VISITOR, "http", VISITOR]}
    for source, (address, scheme, logged) in expected.items():
        argv = [program("curl"), "--silent", "--http2-prior-knowledge", "--interface", source, *told]
        url = f"http://app.localhost:{way.relay.port}/echo-headers"
        curl = Daemon([*argv, "--resolve", f"app.localhost:{way.relay.port}:127.0.0.1", url], tmp_path)
        assert curl.exit_status() == 0
        assert curl.output.split("|")[1:3] == [address, scheme]
        line = json.loads(lines_of(way.log, f'"client":"{logged}"')[-1])
        assert (line["protocol"], line["scheme"]) == ("HTTP/2.0", scheme)


def test_the_machine_has_the_addresses_that_these_tests_use() -> None:
    """All of 127.0.0.0/8 is this machine's."""
    with socket.socket() as probe:
        probe.bind((VISITOR, 0))
