"""Somebody does not read: that one transfer waits, 99 others through the same client go on, and nothing piles up."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from egtunnel.eager import READ
from tests.integration.daemons import Client, Relay, until
from tests.integration.rawhttp import Connection
from tests.integration.transfers import MIB, blocks, growth, raw_service, sha256_of_blocks
from tests.integration.upstreams import Nginx, Upstream

OTHERS = 99
MOST_GROWTH = 16 * MIB + OTHERS * READ
"""Each of the others may have a wide read on its way, as the turns of the day have it; a file has a GiB."""
MOST_SWALLOWED = 40 * MIB
"""What the kernel's buffers of four sockets and the windows between them may take of an upload nobody reads."""
RATE = 10_000
"""Bytes a second that a slow visitor reads."""
PATIENCE = 120.0


@attrs.frozen
class House:
    """One client with four tunnels: ``files``; the service ``never`` that reads nothing; the same two over TCP."""

    relay: Relay
    client: Client
    down: int
    never: int
    usual: dict[str, int] = attrs.field(factory=dict)  # growth by the 99 alone, once they have been there before

    def request(self, name: str, head: str) -> bytes:
        """A request for a tunnel."""
        return f"{head} HTTP/1.1\r\nHost: {self.relay.host(name)}\r\n\r\n".encode()

    def others(self) -> None:
        """99 visitors at once, each with a connection and a whole file of its own."""

        def visit(_: int) -> None:
            with Connection(self.relay.port, timeout=PATIENCE) as visitor:
                visitor.send(self.request("files", "GET /small.bin"))
                body = visitor.answer().body
            assert len(body) == MIB
            assert body == next(blocks(1))

        with ThreadPoolExecutor(OTHERS) as pool:
            list(pool.map(visit, range(OTHERS)))

    @contextlib.contextmanager
    def nothing_piles_up(self) -> Iterator[None]:
        """The peak of each daemon lies little above what the same 99 visitors cost without the slow one."""
        with growth(self.relay, self.client) as grown:
            yield
        more = {name: grown[name] - self.usual[name] for name in grown}
        assert max(more.values()) < MOST_GROWTH, (self.usual, grown)
        self.relay.assert_calm()
        self.client.assert_calm()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """One for all these tests."""
    folder = tmp_path_factory.mktemp("slow")
    over = threading.Event()
    (nginx.www / "small.bin").write_bytes(next(blocks(1)))
    with (nginx.www / "slow.bin").open("wb") as large:
        large.truncate(1024 * MIB)  # a hole: it costs nothing, and nobody reads it to the end
    with contextlib.ExitStack() as stack:
        stack.callback(over.set)
        never = stack.enter_context(Upstream(lambda _: _wait(over)))
        raw = stack.enter_context(Upstream(raw_service))
        config = folder / "tunnels.toml"
        config.write_text(
            f'[[tunnel]]\nlocal = "{nginx.port}"\nname = "files"\n[[tunnel]]\nlocal = "{never.port}"\nname = "never"\n'
            f'[[tunnel]]\nlocal = "{raw.port}"\ntcp = 0\n[[tunnel]]\nlocal = "{never.port}"\ntcp = 0\n'
        )
        relay = Relay(folder, "--tcp-ports", "23300-23399")
        stack.callback(relay.end)
        client = Client(relay.ready(), "--config", str(config))
        stack.callback(client.end)
        for name in ("files", "never"):
            client.wait_for(f"^http://{name}")
        down = int(client.wait_for(rf"^tcp://\S+:(\d+) -> {raw.port}$").group(1))
        never_port = int(client.wait_for(rf"^tcp://\S+:(\d+) -> {never.port}$").group(1))
        made = House(relay, client, down, never_port)
        made.others()
        with growth(relay, client) as usual:
            made.others()
        yield attrs.evolve(made, usual=usual)


def _wait(over: threading.Event) -> None:
    over.wait(3600)


class SlowReader:
    """A visitor that asks for much and reads 10 KB a second, in a thread of its own."""

    def __init__(self, port: int, order: bytes) -> None:
        self._visitor = Connection(port, timeout=PATIENCE, receive_buffer=4096)
        self._visitor.send(order)
        self.read = 0
        self.ended = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._over.wait(0.1):
            data = self._visitor.socket.recv(RATE // 10)
            self.read += len(data)
            if not data:
                self.ended = True
                return

    def stop(self) -> None:
        """Hang up in the middle."""
        self._over.set()
        self._thread.join(PATIENCE)
        self._visitor.socket.close()


class Uploader:
    """A visitor that sends without end, in a thread of its own; ``sent`` is what was taken from it."""

    def __init__(self, port: int, beginning: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.sendall(beginning)
        self._socket.settimeout(0.2)
        self.sent = 0
        self.stuck = 0  # attempts in a row of which nothing was taken
        self.broken = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        block = bytes(65_536)
        while not self._over.is_set() and self.sent < 1024 * MIB:
            try:
                self.sent += self._socket.send(block)
                self.stuck = 0
            except TimeoutError:
                self.stuck += 1
            except OSError as error:
                self.broken = str(error)
                return

    def wait_until_stuck(self) -> None:
        """Nothing more is taken."""
        with until("the upload to be stuck") as deadline:
            while time.monotonic() < deadline and not self.broken and self.stuck < 4:
                time.sleep(0.05)

    def stop(self) -> None:
        """Hang up in the middle."""
        self._over.set()
        self._thread.join(PATIENCE)
        self._socket.close()


def slow_download_over_http(house: House) -> SlowReader:
    return SlowReader(house.relay.port, house.request("files", "GET /slow.bin"))


def slow_download_over_tcp(house: House) -> SlowReader:
    return SlowReader(house.down, b"D 256\n")


def upload_over_http(house: House) -> Uploader:
    head = f"POST / HTTP/1.1\r\nHost: {house.relay.host('never')}\r\nContent-Length: {1024 * MIB}\r\n\r\n"
    return Uploader(house.relay.port, head.encode())


def chunked_upload_over_http(house: House) -> Uploader:
    """One chunk of 1 GiB."""
    head = (
        f"POST / HTTP/1.1\r\nHost: {house.relay.host('never')}\r\nTransfer-Encoding: chunked\r\n\r\n{1024 * MIB:x}\r\n"
    )
    return Uploader(house.relay.port, head.encode())


def upload_over_tcp(house: House) -> Uploader:
    return Uploader(house.never, b"")


@pytest.mark.parametrize("visit", [slow_download_over_http, slow_download_over_tcp])
def test_a_visitor_that_reads_slowly_stops_only_itself(house: House, visit: Callable[[House], SlowReader]) -> None:
    """It is still at its beginning when 99 others have had everything, and it was still served meanwhile."""
    with house.nothing_piles_up():
        slow = visit(house)
        with until("the slow visitor to have read something") as deadline:
            while not slow.read and time.monotonic() < deadline:
                time.sleep(0.01)
        house.others()
        before = slow.read
        house.others()
        with until("the slow visitor to be served, too") as deadline:
            while slow.read == before and time.monotonic() < deadline:
                time.sleep(0.01)
        assert not slow.ended
        assert slow.read < 10 * MIB
        slow.stop()
    house.others()


@pytest.mark.parametrize("visit", [upload_over_http, chunked_upload_over_http, upload_over_tcp])
def test_a_service_that_never_reads_an_upload_stops_only_that(house: House, visit: Callable[[House], Uploader]) -> None:
    """The visitor cannot go on sending, which is all that happens: the upload is neither collected nor broken off."""
    with house.nothing_piles_up():
        upload = visit(house)
        upload.wait_until_stuck()
        house.others()
        assert upload.broken == ""
        assert upload.sent < MOST_SWALLOWED
        upload.stop()
    house.others()


def test_many_uploads_that_nobody_reads_stay_within_the_budget(house: House) -> None:
    """Twenty at once: each is stuck, the daemons hold their windows at most, and others are served."""
    with growth(house.relay, house.client) as grown:
        uploads = [upload_over_http(house) for _ in range(20)]
        for upload in uploads:
            upload.wait_until_stuck()
        house.others()
        for upload in uploads:
            upload.stop()
    assert max(grown.values()) < 64 * MIB, grown
    house.others()


def test_a_slow_visitor_gets_it_all_in_the_end(house: House) -> None:
    """After a pause in which everything was stuck, the rest comes: the same bytes, no more and no less."""
    with socket.create_connection(("127.0.0.1", house.down), PATIENCE) as visitor:
        visitor.sendall(b"D 64\n")
        first = visitor.recv(1000)
        house.others()
        with visitor.makefile("rb") as stream:
            digest = hashlib.sha256(first)
            while piece := stream.read(65_536):
                digest.update(piece)
    assert digest.hexdigest() == sha256_of_blocks(64)


@pytest.mark.soak
@pytest.mark.parametrize("visit", [slow_download_over_http, upload_over_http])
def test_for_a_minute(house: House, visit: Callable[[House], SlowReader | Uploader]) -> None:
    """The same for longer, with the 99 others coming again and again."""
    with house.nothing_piles_up():
        visitor = visit(house)
        end = time.monotonic() + 50  # well below the time after which a stalled upload is given up
        while time.monotonic() < end:
            house.others()
        visitor.stop()
    house.others()
