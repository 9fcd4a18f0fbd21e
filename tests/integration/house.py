"""A house under attack: a relay with honest clients and visitors, and what must hold around every attack."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.integration.daemons import PATIENCE, Client, Daemon, Relay, free_port, until
from tests.integration.rawhttp import Connection, get
from tests.integration.rawlink import RawLink, token_of
from tests.integration.upstreams import Nginx, Upstream

__all__ = ["AMOUNT", "MIB", "MOST_GROWTH", "House", "all_end", "calm_since", "honest_house", "mutated", "undisturbed"]

MIB = 1 << 20
AMOUNT = 100_000
"""Random bytes in one go."""
MOST_GROWTH = 64 * MIB
"""What a daemon may grow by while it is attacked; the budgets themselves are larger, and nothing here may fill them."""


def echo(connection: socket.socket) -> None:
    """Give back what comes."""
    while data := connection.recv(65_536):
        connection.sendall(data)


@attrs.frozen
class House:
    """A relay with two honest clients: the HTTP tunnel ``good`` and a TCP tunnel to an echo."""

    relay: Relay
    daemons: list[Daemon]
    tcp_port: int

    @property
    def host(self) -> str:
        """The honest tunnel's host name."""
        return self.relay.host("good")

    def serve(self) -> None:
        """Both honest tunnels do what they are there for."""
        assert get(self.relay.port, self.host, "/hello").body == b"hello from nginx\n"
        with Connection(self.tcp_port) as visitor:
            visitor.send(b"ping")
            visitor.finish()
            assert visitor.rest() == b"ping"

    def link(self, client_id: str = "") -> RawLink:
        """A link that is let in with the true token."""
        link = RawLink(self.relay.port)
        link.log_in(token_of(self.relay), client_id)
        return link


@contextlib.contextmanager
def honest_house(folder: Path, nginx: Nginx) -> Iterator[House]:
    """One house for the attacks of a module."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Upstream(echo))
        ports = free_port()
        relay = Relay(folder, "--tcp-ports", f"{ports}-{ports}", "--max-per-address", "2000")
        stack.callback(relay.end)
        web = Client(relay.ready(), "--local", str(nginx.port), "--name", "good")
        stack.callback(web.end)
        tcp = Client(relay, "--local", str(upstream.port), "--tcp", "0")
        stack.callback(tcp.end)
        web.url()
        yield House(relay, [relay, web, tcp], tcp.tcp_port())


class Meanwhile:
    """Honest visitors who come all the time, in a thread of their own."""

    def __init__(self, house: House) -> None:
        self.failures: list[str] = []
        self._house = house
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self._thread.start()

    def _visit(self) -> None:
        while True:
            try:
                self._house.serve()
            except (AssertionError, OSError) as error:
                self.failures.append(repr(error))
            if self._over.wait(0.05):
                return

    def end(self) -> None:
        """No more visitors; all of them were served."""
        self._over.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "a visitor still waits"
        assert self.failures == []


@contextlib.contextmanager
def undisturbed(house: House) -> Iterator[None]:
    """Around an attack: honest visitors are served, descriptors come back, memory stays bounded, logs stay calm."""
    house.serve()
    before = [(daemon, daemon.descriptors(), daemon.memory(), len(daemon.lines)) for daemon in house.daemons]
    meanwhile = Meanwhile(house)
    try:
        yield
    finally:
        meanwhile.end()
    house.serve()
    for daemon, descriptors, memory, line in before:
        with until(f"{daemon.process.args!r} to close what was opened") as deadline:
            while daemon.descriptors() > descriptors and time.monotonic() < deadline:
                time.sleep(0.05)
        assert daemon.memory() - memory < MOST_GROWTH
        calm_since(daemon, line)


def calm_since(daemon: Daemon, line: int) -> None:
    """Nothing a daemon printed from this line on is a traceback: one defect fails one test, not all after it."""
    text = "\n".join(daemon.lines[line:])
    assert not any(word in text for word in ("Traceback", "Unhandled", "exception caught")), text


def all_end(visitors: list[Connection]) -> None:
    """Wait until the relay has ended every one of these connections."""
    waiting = {visitor.socket.fileno(): visitor for visitor in visitors}
    poll = select.poll()
    for number in waiting:
        poll.register(number, select.POLLIN)
    with until(f"{len(visitors)} connections to be ended") as deadline:
        while waiting and time.monotonic() < deadline:
            for number, _ in poll.poll(500):
                try:
                    ended = not waiting[number].socket.recv(65_536)
                except ConnectionError:
                    ended = True
                if ended:
                    poll.unregister(number)
                    del waiting[number]
    assert not waiting, f"{len(waiting)} connections are still open"


def mutated(request: bytes, dice: random.Random) -> bytes:
    """Some bytes changed, taken out, doubled or put in."""
    data = bytearray(request)
    for _ in range(dice.randint(1, 8)):
        place = dice.randrange(len(data))
        kind = dice.randrange(4)
        if kind == 0:
            data[place] = dice.randrange(256)
        elif kind == 1:
            del data[place : place + dice.randint(1, 8)]
        elif kind == 2:
            data[place:place] = data[place : place + dice.randint(1, 30)]
        else:
            data[place:place] = dice.choice([b"\0", b"\r", b"\n", b"\r\n\r\n", b" ", b":", b"\xff" * 9, b"9" * 30])
    return bytes(data)
