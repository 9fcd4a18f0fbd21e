"""The samples for nginx and haproxy at work: TLS in front, the link and the visitors through the same proxy."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from demo.site import PAGES
from tests.client.certificates import Authority
from tests.integration.daemons import ROOT, Client, Daemon, Relay, free_port, listening
from tests.integration.programs import program
from tests.proxies import certificate, haproxy_cfg, moved, nginx_conf

Start = Callable[[Daemon], Daemon]
VISITOR = "127.0.0.9"
"""The visitor's address; the proxy has another one, 127.0.0.1."""


@attrs.frozen
class Behind:
    """A tunnel to the demo's site, whose relay stands behind a proxy on the port ``secure``."""

    authority: Authority
    secure: int
    url: str

    def connect(self, host: str) -> http.client.HTTPConnection:
        """A visitor's connection to the proxy; the certificate is verified for the host."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        plain = socket.create_connection(("127.0.0.1", self.secure), timeout=20, source_address=(VISITOR, 0))
        connection = http.client.HTTPConnection(f"{host}:{self.secure}")
        connection.sock = context.wrap_socket(plain, server_hostname=host)
        return connection

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """An answer of the tunnel."""
        connection = self.connect("app.localhost")
        connection.request("GET", path, headers=headers)
        return connection.getresponse()


@pytest.fixture(params=["nginx", "haproxy", "haproxy, PROXY version 1"])
def behind(request: pytest.FixtureRequest, tmp_path: Path, start: Start) -> Behind:
    """Site, relay, proxy and client; the client's own link goes through the proxy, too."""
    kind, _, old = request.param.partition(", ")
    proxy = program(kind)
    authority = Authority(tmp_path)
    pem = certificate(authority, tmp_path, "localhost", "*.localhost", "app.localhost")
    plain, secure, port = free_port(), free_port(), free_port()
    if kind == "nginx":
        conf = nginx_conf(tmp_path, pem, domain="localhost", plain=plain, secure=secure, relay=port)
        argv = [proxy, "-p", str(tmp_path), "-c", str(conf)]
    else:
        conf = haproxy_cfg(tmp_path, pem, plain=plain, secure=secure, relay=port)
        if old:
            conf.write_text(moved(conf.read_text(), {"send-proxy-v2": "send-proxy"}))
        argv = [proxy, "-db", "-f", str(conf)]
    site = Daemon([sys.executable, "-m", "demo.site"], ROOT)
    start(site)
    public = ["--public-url", f"https://localhost:{secure}", "--trust", "127.0.0.1"]
    relay = Relay(tmp_path, *public, "--tcp-ports", "none", port=port)
    start(relay)
    relay.ready()
    start(Daemon(argv, tmp_path))
    listening(secure)
    link = ["--relay", f"wss://localhost:{secure}", "--ca", str(authority.file)]
    local = site.wait_for(r"^(http://\S+)").group(1)
    client = Client(relay, *link, "--local", local, "--name", "app")
    start(client)
    return Behind(authority, secure, client.url())


def test_a_page_comes_through_the_proxy(behind: Behind) -> None:
    """The client is told the public address that the proxy serves, and the page there is that of the site."""
    assert behind.url == f"https://app.localhost:{behind.secure}"
    answer = behind.get("/")
    assert answer.status == 200
    assert answer.read() == (PAGES / "index.html").read_bytes()


def test_events_come_one_by_one_through_the_proxy(behind: Behind) -> None:
    """The proxy collects nothing."""
    answer = behind.get("/clock")
    times: list[float] = []
    while len(times) < 3:
        line = answer.readline()
        assert line, "the events ended"
        if line.startswith(b"data:"):
            times.append(time.monotonic())
    assert times[2] - times[0] > 1


def test_the_service_learns_who_asks_and_how_and_not_what_the_visitor_claims(behind: Behind) -> None:
    """Its own address, not the proxy's, and the scheme of the proxy's public side; what it wrote itself is gone."""
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher", "Forwarded": "for=203.0.113.9"}
    seen = json.loads(behind.get("/seen", **forged).read())
    assert seen["x-forwarded-proto"] == "https"
    assert seen["host"] == f"app.localhost:{behind.secure}"
    assert "203.0.113.9" not in seen["x-forwarded-for"] + seen["forwarded"]
    assert seen["x-forwarded-for"].split(", ")[0] == VISITOR  # behind nginx it is followed by nginx's own


def test_an_unknown_name_is_answered_by_the_relay(behind: Behind) -> None:
    """The relay's own page and header come through the proxy unchanged."""
    connection = behind.connect("localhost")
    connection.request("GET", "/", headers={"Host": f"nobody.localhost:{behind.secure}"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("X-Egtunnel-Error")) == (404, "unknown-tunnel")
