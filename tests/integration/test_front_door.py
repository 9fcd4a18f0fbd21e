"""The front door of a real relay: two ports, PROXY headers, limits, and what is no HTTP."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ingress.front.headers import proxied_v1, proxied_v2
from tests.integration.daemons import Client, Daemon, Relay, free_port, listening
from tests.integration.programs import program
from tests.integration.rawhttp import Answer, Connection, get
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]
BALANCER, VISITOR = "127.0.0.1", "127.0.0.9"
"""Two addresses of this machine; the relay is told to trust the first, which its own clients have as well."""


def sees(relay: Relay) -> str:
    """A request for what the service sees: Host, X-Forwarded-For, X-Forwarded-Proto and Forwarded."""
    return f"GET /echo-headers HTTP/1.1\r\nHost: {relay.host('good')}\r\n"


def ask(port: int, request: str, source: str = VISITOR, before: bytes = b"") -> Answer:
    """The answer to a visitor from there."""
    with Connection(port, source=source) as visitor:
        visitor.send(before + f"{request}Connection: close\r\n\r\n".encode())
        return visitor.answer()


@pytest.fixture(scope="module")
def other_port() -> int:
    """The relay's second port."""
    return free_port()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx, other_port: int) -> Iterator[Relay]:
    """A relay on two ports that trusts a balancer, with the tunnel ``good``."""
    with contextlib.ExitStack() as stack:
        options = ("--trust", BALANCER, "--max-per-address", "3", "--head-timeout", "2", "--tcp-ports", "none")
        relay = Relay(tmp_path_factory.mktemp("front"), "--port", str(other_port), *options)
        stack.callback(relay.end)
        client = Client(relay.ready(), "--local", str(nginx.port), "--name", "good")
        stack.callback(client.end)
        client.url()
        yield relay
        relay.assert_calm()
        client.assert_calm()


def test_every_port_takes_visitors_and_the_first_is_the_one_of_urls(house: Relay, other_port: int) -> None:
    """Also two of them."""
    assert house.wait_for(r"listens on 127.0.0.1:(\d+) and (\d+)").groups() == (str(house.port), str(other_port))
    house.wait_for(rf"public names are http://<name>.localhost:{house.port}")
    for port in (house.port, other_port):
        assert get(port, house.host("good"), "/hello").body == b"hello from nginx\n"


@pytest.mark.parametrize("header", [proxied_v1, proxied_v2])
@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::9"])
def test_a_trusted_balancer_names_the_visitor(house: Relay, header: Callable[[str], bytes], address: str) -> None:
    """The service sees the visitor's address, and nothing of what the visitor claims to be."""
    forged = "X-Forwarded-For: 198.51.100.1\r\nForwarded: for=198.51.100.1\r\n"
    answer = ask(house.port, sees(house) + forged, BALANCER, header(address))
    _, told, scheme, standard = answer.body.decode().strip().split("|")
    assert (told, scheme) == (address, "http")
    assert address in standard and "198.51.100.1" not in standard


@pytest.mark.parametrize("header", [proxied_v1, proxied_v2])
def test_nobody_else_names_anybody(house: Relay, header: Callable[[str], bytes]) -> None:
    """From another address a PROXY header is bad HTTP, and forged headers are worth nothing."""
    answer = ask(house.port, sees(house), VISITOR, header("203.0.113.9"))
    assert (answer.status, answer.error) == (400, "bad-request")
    forged = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n"
    assert ask(house.port, sees(house) + forged).body.split(b"|")[1] == VISITOR.encode()
    assert b"203.0.113.9" not in ask(house.port, sees(house) + forged).body


def test_a_malformed_header_of_a_balancer_is_logged(house: Relay) -> None:
    """The connection is closed; the log says who sent it and what was wrong."""
    with Connection(house.port, source=BALANCER) as balancer:
        balancer.send(b"PROXY TCP4 somewhere\r\n")
        assert balancer.rest() == b""
    house.wait_for(rf"bad PROXY header from {BALANCER}: .*TCP4")


def test_one_address_has_so_many_connections_and_others_are_served(house: Relay) -> None:
    """The fourth is told 429; another address, and the balancer, are not affected; when one goes there is room."""
    request = f"GET /hello HTTP/1.1\r\nHost: {house.host('good')}\r\n"
    with contextlib.ExitStack() as stack:
        three = [stack.enter_context(Connection(house.port, source="127.0.0.20")) for _ in range(3)]
        for visitor in three:
            visitor.send(f"{request}\r\n".encode())
            assert visitor.answer().status == 200
        refused = ask(house.port, request, "127.0.0.20")
        assert (refused.status, refused.error, refused.headers["connection"]) == (429, "over-limit", "close")
        assert int(refused.headers["retry-after"]) > 0
        assert ask(house.port, request, "127.0.0.21").status == 200
        for _ in range(5):
            balancer = stack.enter_context(Connection(house.port, source=BALANCER))
            balancer.send(f"{request}\r\n".encode())
            assert balancer.answer().status == 200
        three.pop().socket.close()
        house.wait_for("--max-per-address")
        statuses = {ask(house.port, request, "127.0.0.20").status for _ in range(20)}
        assert 200 in statuses


def test_who_says_nothing_is_closed(house: Relay) -> None:
    """After ``--head-timeout``, without a word: there is no request that could be answered."""
    for said in (b"", b"PRI * HTTP/2"):
        with Connection(house.port, source=VISITOR) as visitor:
            visitor.send(said)
            with contextlib.suppress(ConnectionResetError):
                assert visitor.socket.recv(100) == b""


def test_tls_is_refused_as_tls_where_there_is_no_certificate(house: Relay) -> None:
    """A browser that tries https is told so in words it understands, at once."""
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", house.port), timeout=20) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"),
    ):
        context.wrap_socket(plain, server_hostname="good.localhost")


def test_http2_needs_no_tls(house: Relay) -> None:
    """By prior knowledge, as curl and gRPC programs do inside a network."""
    url = f"http://good.localhost:{house.port}/hello"
    argv = [program("curl"), "--silent", "--http2-prior-knowledge", "--write-out", "%{http_version}", url]
    curl = Daemon([*argv, "--resolve", f"good.localhost:{house.port}:127.0.0.1"], Path("/"))
    assert curl.exit_status() == 0
    assert curl.output == "hello from nginx\n2"


def test_a_second_port_in_use_is_said_and_the_relay_ends(tmp_path: Path, start: Start) -> None:
    """All ports or none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listening(port)
        relay = Relay(tmp_path, "--port", str(port))
        start(relay)
        relay.wait_for(f"cannot listen on 127.0.0.1:{port}: Address already in use")
        assert relay.exit_status() == 1
