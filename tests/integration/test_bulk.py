"""Large transfers both ways: nothing is lost, doubled or changed, and no daemon holds more than its bounded share."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from tests.integration.daemons import Client, Relay
from tests.integration.transfers import (
    MIB,
    WebService,
    blocks,
    growth,
    raw_service,
    read_digest,
    sha256_of_blocks,
)
from tests.integration.upstreams import Nginx, Upstream

MOST_GROWTH = 64 * MIB
SIZES = [pytest.param(256, id="256MiB"), pytest.param(1024, id="1GiB", marks=pytest.mark.soak)]
FRAMINGS = ["sized", "chunked"]
PATIENCE = 120.0


@attrs.frozen
class House:
    """A relay and one client with three tunnels: ``files`` (nginx), ``blocks``, and a TCP port."""

    relay: Relay
    client: Client
    tcp_port: int

    def visit(self, name: str) -> http.client.HTTPConnection:
        """A visitor's connection; the Host is that of the tunnel."""
        connection = http.client.HTTPConnection(f"{name}.localhost:{self.relay.port}", timeout=PATIENCE)
        connection.sock = socket.create_connection(("127.0.0.1", self.relay.port), PATIENCE)
        return connection

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """Both daemons stay within their bound, and calm."""
        with growth(self.relay, self.client) as grown:
            yield
        assert max(grown.values()) < MOST_GROWTH, grown
        self.relay.assert_calm()
        self.client.assert_calm()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """One for all transfers: what the earlier ones cost is held against the later ones, too."""
    folder = tmp_path_factory.mktemp("bulk")
    with contextlib.ExitStack() as stack:
        web, raw = stack.enter_context(WebService()), stack.enter_context(Upstream(raw_service))
        config = folder / "tunnels.toml"
        config.write_text(
            f'[[tunnel]]\nlocal = "{nginx.port}"\nname = "files"\n'
            f'[[tunnel]]\nlocal = "{web.port}"\nname = "blocks"\n'
            f'[[tunnel]]\nlocal = "{raw.port}"\ntcp = 0\n'
        )
        relay = Relay(folder, "--tcp-ports", "23200-23299")
        stack.callback(relay.end)
        client = Client(relay.ready(), "--config", str(config))
        stack.callback(client.end)
        for name in ("files", "blocks"):
            client.wait_for(f"^http://{name}")
        yield House(relay, client, client.tcp_port())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_http_down(house: House, framing: str, size: int) -> None:
    """A response of this framing arrives whole and with that framing."""
    visitor = house.visit("blocks")
    with house.bounded():
        visitor.request("GET", f"/{framing}/{size}")
        answer = visitor.getresponse()
        assert read_digest(answer) == (sha256_of_blocks(size), size * MIB)
    assert answer.getheader("Transfer-Encoding") == ("chunked" if framing == "chunked" else None)
    assert answer.getheader("Content-Length") == (str(size * MIB) if framing == "sized" else None)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_http_up(house: House, framing: str, size: int) -> None:
    """A request body of this framing reaches the service whole and with that framing."""
    visitor = house.visit("blocks")
    headers = {"Content-Length": str(size * MIB)} if framing == "sized" else {"Transfer-Encoding": "chunked"}
    with house.bounded():
        visitor.request("POST", "/", blocks(size), headers, encode_chunked=framing == "chunked")
        assert visitor.getresponse().read().decode() == f"{sha256_of_blocks(size)} {size * MIB} {framing}"


@pytest.mark.parametrize("size", SIZES)
def test_tcp_down(house: House, size: int) -> None:
    """The bytes and then the end."""
    with house.bounded(), socket.create_connection(("127.0.0.1", house.tcp_port), PATIENCE) as visitor:
        visitor.sendall(f"D {size}\n".encode())
        with visitor.makefile("rb") as stream:
            assert read_digest(stream) == (sha256_of_blocks(size), size * MIB)


@pytest.mark.parametrize("size", SIZES)
def test_tcp_up(house: House, size: int) -> None:
    """The bytes, the end, and an answer after it."""
    with house.bounded(), socket.create_connection(("127.0.0.1", house.tcp_port), PATIENCE) as visitor:
        visitor.sendall(b"U\n")
        for block in blocks(size):
            visitor.sendall(block)
        visitor.shutdown(socket.SHUT_WR)
        with visitor.makefile("rb") as stream:
            assert stream.read().decode() == f"{sha256_of_blocks(size)} {size * MIB}"


def test_a_file_of_a_real_server_four_times_at_once(house: House, nginx: Nginx) -> None:
    """nginx sends as fast as it can to four visitors; each gets the file, and memory stays bounded."""
    digest = nginx.file("bulk.bin", 64 * MIB)

    def download(_: int) -> tuple[str, int]:
        visitor = house.visit("files")
        visitor.request("GET", "/bulk.bin")
        return read_digest(visitor.getresponse())

    with house.bounded(), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(download, range(4))) == [(digest, 64 * MIB)] * 4


def test_both_directions_of_one_connection_at_once(house: House, tmp_path: Path) -> None:
    """64 MiB to an echo and back again, while both ends send and receive."""

    def echo(connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            connection.sendall(data)

    with Upstream(echo) as service:
        client = Client(house.relay, "--local", str(service.port), "--tcp", "0")
        try:
            visitor = socket.create_connection(("127.0.0.1", client.tcp_port()), PATIENCE)
            with house.bounded(), visitor, visitor.makefile("rb") as stream:
                sender = threading.Thread(target=_send_all, args=(visitor, 64))
                sender.start()
                assert read_digest(stream) == (sha256_of_blocks(64), 64 * MIB)
                sender.join(PATIENCE)
        finally:
            client.end()


def _send_all(connection: socket.socket, count: int) -> None:
    for block in blocks(count):
        connection.sendall(block)
    connection.shutdown(socket.SHUT_WR)


def test_the_blocks_of_these_tests_tell_what_is_wrong() -> None:
    """A lost, doubled or swapped block changes the digest."""
    one, two, three = blocks(3)
    digests = [hashlib.sha256(b"".join(order)).hexdigest() for order in ((one, two, three), (one, three, two))]
    digests += [hashlib.sha256(one + three).hexdigest(), hashlib.sha256(one + two + two + three).hexdigest()]
    assert digests[0] == sha256_of_blocks(3)
    assert len(set(digests)) == 4
