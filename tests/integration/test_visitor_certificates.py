"""Visitors with certificates: a real relay that ends TLS, a client, nginx, curl, and connections made by hand."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.integration.daemons import Client, Daemon, SecureRelay
from tests.integration.papers import Papers
from tests.integration.programs import curl
from tests.integration.upstreams import Nginx

CONFIGURATION = """
[[tunnel]]
local = "{port}"
name = "shut"
visitor-ca = "{authority}"

[[tunnel]]
local = "{port}"
name = "open"
"""

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@attrs.frozen
class House:
    """A relay that asks its own clients for certificates, too, and what visitors can show."""

    relay: SecureRelay
    papers: Papers
    good: Path
    bad: Path

    def curl(self, name: str, *options: str, status: int | None = 0) -> bytes:
        """What a visitor gets."""
        port = self.relay.port
        return curl(f"https://{self.relay.host(name)}/", *self.papers.curl_options(port), *options, status=status)

    def ask(self, name: str, host: str, certificate: Path | None = None, path: str = "/") -> tuple[int, str]:
        """Status and the relay's word for a request to one host, on a connection that named another one."""
        context = self.papers.context()
        if certificate is not None:
            context.load_cert_chain(certificate)
        plain = socket.create_connection(("127.0.0.1", self.relay.port), 30)
        with context.wrap_socket(plain, server_hostname=f"{name}.{self.relay.domain}".lstrip(".")) as secure:
            connection = http.client.HTTPConnection("127.0.0.1")
            connection.sock = secure
            connection.request("GET", path, headers={"Host": host, **(UPGRADE if path == "/connect" else {})})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("X-Egtunnel-Error", "")


@pytest.fixture(scope="module", params=["1", "2"], ids=["one process", "two workers"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """A relay and a client with two tunnels."""
    home = tmp_path_factory.mktemp("certificates")
    papers = Papers(home)
    visitors = papers.stranger()
    options = (*papers.relay_options, "--client-ca", str(papers.ca), "--workers", request.param)
    daemons: list[Daemon] = []
    try:
        relay = SecureRelay(home, papers.domain, papers.ca, *options)
        daemons.append(relay)
        relay.ready()
        file = home / "client.toml"
        file.write_text(CONFIGURATION.format(port=nginx.port, authority=visitors.file))
        client = Client(relay, "--config", str(file), "--cert", str(papers.own()))
        daemons.append(client)
        for name in ("shut", "open"):
            client.wait_for(f"^https://{name}.*->")
        yield House(relay, papers, papers.own("visitor", visitors), papers.own("other"))
        for daemon in daemons:
            daemon.assert_calm()
    finally:
        for daemon in reversed(daemons):
            daemon.end()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_who_shows_a_certificate_comes_in(house: House, version: str) -> None:
    """Nobody else; the tunnel beside it asks for none."""
    assert b"a real site" in house.curl("shut", version, "--cert", str(house.good))
    assert b"a real site" in house.curl("open", version)
    for options in ((), ("--cert", str(house.bad))):
        with pytest.raises(AssertionError, match="ended with status"):
            house.curl("shut", version, *options)


def test_the_way_around_by_another_host_is_shut(house: House) -> None:
    """A connection that was not asked for the certificate is misdirected; one that was is good for others, too."""
    shut, beside = (house.relay.host(name) for name in ("shut", "open"))
    assert house.ask("open", shut) == (421, "misdirected-request")
    assert house.ask("open", shut, house.good) == (421, "misdirected-request")
    assert house.ask("shut", shut, house.good) == (200, "")
    assert house.ask("shut", beside, house.good) == (200, "")


def test_a_visitors_certificate_makes_no_client(house: House) -> None:
    """Whose authority anybody may choose: the relay's own clients need one of the relay's."""
    own = f"{house.relay.domain}:{house.relay.port}"
    with pytest.raises(ssl.SSLError):
        house.ask("", own, house.good, "/connect")
    as_visitor = house.ask("shut", own, house.good, "/connect")
    as_nobody = house.ask("open", own, None, "/connect")
    as_client = house.ask("", own, house.papers.own("client"), "/connect")
    assert as_visitor == as_nobody == (403, "certificate-required")
    assert as_client[1] != "certificate-required"
