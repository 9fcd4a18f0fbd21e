"""TCP tunnels: a public port that behaves like the local one, its half-closes, resets and silences included."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.daemons import Client, Daemon, Relay, free_port, until
from tests.integration.rawhttp import Connection, connect_many
from tests.integration.test_first_tunnel import assert_given_up, stranger
from tests.integration.upstreams import Upstream

Start = Callable[[Daemon], Daemon]
Serve = Callable[[socket.socket], None]
Tunnel = Callable[[Serve], int]

PORTS = range(23500, 23600)
LINGER_RESET = struct.pack("ii", 1, 0)
"""With this option close() sends a reset."""


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """One relay for all these tests; its log is calm at the end."""
    running = Relay(tmp_path_factory.mktemp("tcp"), "--tcp-ports", f"{PORTS[0]}-{PORTS[-1]}")
    try:
        yield running.ready()
        running.assert_calm()
    finally:
        running.end()


@pytest.fixture
def tunnel(connect: Callable[..., Client]) -> Iterator[Tunnel]:
    """``tunnel(serve)``: the public port of a tunnel to a service that does this with each connection."""
    with contextlib.ExitStack() as stack:

        def make(serve: Serve) -> int:
            service = stack.enter_context(Upstream(serve))
            client = connect("--local", str(service.port), "--tcp", "0")
            stack.callback(client.assert_calm)
            return client.tcp_port()

        yield make


def everything(connection: socket.socket) -> bytes:
    """What comes until the other end sends no more."""
    data = b""
    while piece := connection.recv(65_536):
        data += piece
    return data


def echo(connection: socket.socket) -> None:
    """Give back what comes."""
    while data := connection.recv(65_536):
        connection.sendall(data)


# -- ends


def test_a_visitor_that_sends_no_more_still_gets_the_answer(tunnel: Tunnel) -> None:
    """The service reads to the end of the question before it says a word."""

    def serve(connection: socket.socket) -> None:
        question = everything(connection)
        connection.sendall(b"answer to " + question)

    with Connection(tunnel(serve)) as visitor:
        visitor.send(b"a question")
        visitor.finish()
        assert visitor.rest() == b"answer to a question"


def test_a_service_that_sends_no_more_still_gets_the_rest(tunnel: Tunnel) -> None:
    """It says its word and ends; the visitor sees that end and goes on sending."""
    heard: list[bytes] = []
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"go on")
        connection.shutdown(socket.SHUT_WR)
        heard.append(everything(connection))
        over.set()

    with Connection(tunnel(serve)) as visitor:
        assert visitor.rest() == b"go on"
        for word in (b"one ", b"two ", b"three"):
            visitor.send(word)
            time.sleep(0.05)  # pieces of their own
        visitor.finish()
        assert over.wait(30)
    assert heard == [b"one two three"]


def test_both_ends_may_end_at_once(tunnel: Tunnel) -> None:
    """Half-closes that cross lose nothing."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"s" * 100_000)
        connection.shutdown(socket.SHUT_WR)
        everything(connection)

    port = tunnel(serve)
    for _ in range(20):
        with Connection(port) as visitor:
            visitor.send(b"v" * 100_000)
            visitor.finish()
            assert visitor.rest() == b"s" * 100_000


def test_a_service_may_speak_first(tunnel: Tunnel) -> None:
    """A banner comes to a visitor that says nothing."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 welcome\r\n")
        echo(connection)

    with Connection(tunnel(serve)) as visitor:
        assert visitor.socket.recv(100) == b"220 welcome\r\n"
        visitor.send(b"quit")
        assert visitor.socket.recv(100) == b"quit"


def test_a_visitor_that_breaks_off_is_broken_off_at_the_service(tunnel: Tunnel) -> None:
    """A reset by the visitor does not look like a proper end."""
    ends: list[str] = []
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        try:
            while connection.recv(65_536):
                pass
            ends.append("end")
        except ConnectionResetError:
            ends.append("reset")
        over.set()

    visitor = Connection(tunnel(serve))
    assert visitor.socket.recv(100) == b"hello"
    visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    visitor.socket.close()
    assert over.wait(30)
    assert ends == ["reset"]


def test_a_service_that_breaks_off_is_broken_off_at_the_visitor(tunnel: Tunnel) -> None:
    """A reset by the service does not look like a proper end either."""

    def serve(connection: socket.socket) -> None:
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        connection.close()

    with Connection(tunnel(serve)) as visitor:
        visitor.send(b"go away")
        with pytest.raises(ConnectionResetError):
            visitor.socket.recv(100)


def test_a_service_that_does_not_run_ends_the_visitors_connection(connect: Callable[..., Client]) -> None:
    """Without a byte; and it is served as soon as the service runs."""
    port = free_port()
    public = connect("--local", str(port), "--tcp", "0").tcp_port()
    with Connection(public) as visitor:
        assert visitor.rest() == b""
    listener = socket.create_server(("127.0.0.1", port))
    with listener, Connection(public) as visitor:
        visitor.send(b"now")
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100) == b"now"


# -- ports


def test_a_port_asked_for_by_number(relay: Relay, connect: Callable[..., Client]) -> None:
    """It is that port, and it is closed when its client gives it back for good by another claim."""
    with Upstream(echo) as service:
        wanted = PORTS[50]
        client = connect("--local", str(service.port), "--tcp", str(wanted))
        assert client.wait_for(r"^(tcp://\S+) -> ").group(1) == f"tcp://localhost:{wanted}"
        with Connection(wanted) as visitor:
            visitor.send(b"hi")
            visitor.finish()
            assert visitor.rest() == b"hi"


def test_any_port_is_one_of_the_range_and_its_own(connect: Callable[..., Client]) -> None:
    """Three tunnels have three ports of the range."""
    ports = {connect("--local", "1", "--tcp", "0").tcp_port() for _ in range(3)}
    assert len(ports) == 3
    assert all(port in PORTS for port in ports)


@pytest.mark.parametrize("port", [PORTS[0] - 1, PORTS[-1] + 1, 22, 65535])
def test_a_port_outside_the_range_ends_the_client_with_one_line(connect: Callable[..., Client], port: int) -> None:
    """The line says which ports there are."""
    assert_given_up(connect("--local", "1", "--tcp", str(port)), str(PORTS[0]), str(PORTS[-1]))


def test_a_relay_without_ports_says_so(tmp_path_factory: pytest.TempPathFactory, start: Start) -> None:
    """``--tcp-ports none``."""
    relay = Relay(tmp_path_factory.mktemp("none"), "--tcp-ports", "none")
    start(relay)
    client = Client(relay.ready(), "--local", "1", "--tcp", "0")
    start(client)
    assert_given_up(client, "no TCP ports")


def test_a_port_of_somebody_else_ends_the_client_with_one_line(
    relay: Relay, connect: Callable[..., Client], start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its owner is not disturbed."""
    with Upstream(echo) as service:
        port = connect("--local", str(service.port), "--tcp", "0").tcp_port()
        other = stranger(relay, tmp_path_factory.mktemp("other"), "--local", "1", "--tcp", str(port))
        start(other)
        assert_given_up(other, str(port), "taken")
        with Connection(port) as visitor:
            visitor.send(b"still here")
            visitor.finish()
            assert visitor.rest() == b"still here"


def test_a_port_that_another_program_has_is_passed_over_or_waited_for(
    tmp_path_factory: pytest.TempPathFactory, start: Start
) -> None:
    """Any port: the next free one. That very port: the client says what is wrong and goes on trying."""
    with socket.create_server(("127.0.0.1", 0)) as program:
        taken: int = program.getsockname()[1]
        relay = Relay(tmp_path_factory.mktemp("taken"), "--tcp-ports", f"{taken}-{taken + 3}")
        start(relay)
        relay.ready()
        passing = Client(relay, "--local", "2", "--tcp", "0")
        start(passing)
        assert taken < passing.tcp_port() <= taken + 3
        waiting = Client(relay, "--local", "3", "--tcp", str(taken))
        start(waiting)
        waiting.wait_for(rf"another program .*{taken}.*trying again")
        assert waiting.process.poll() is None
        relay.assert_calm()


# -- many


def test_many_connections_at_once(tunnel: Tunnel, relay: Relay) -> None:
    """300 visitors, each with words of its own; every descriptor comes back."""
    port = tunnel(echo)
    before = relay.descriptors()
    with contextlib.ExitStack() as stack:
        visitors = connect_many(stack, port, 300)
        for turn in range(3):
            for number, visitor in enumerate(visitors):
                visitor.send(f"{turn} {number};".encode() * 20)
        for number, visitor in enumerate(visitors):
            visitor.finish()
            assert visitor.rest() == b"".join(f"{turn} {number};".encode() * 20 for turn in range(3))
    with until("the relay to close them") as deadline:
        while relay.descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.05)


def test_many_short_connections_one_after_the_other(tunnel: Tunnel, relay: Relay) -> None:
    """400 by eight visitors at once: connect, say, hear, leave."""
    port = tunnel(echo)

    def visit(number: int) -> bytes:
        with Connection(port) as visitor:
            visitor.send(b"%d" % number)
            visitor.finish()
            return visitor.rest()

    before = relay.descriptors()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(visit, range(400))) == [b"%d" % number for number in range(400)]
    with until("the relay to close them") as deadline:
        while relay.descriptors() > before and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.mark.soak
def test_an_idle_connection_stays_for_minutes(tunnel: Tunnel) -> None:
    """Longer than any time-out of the relay: three minutes."""
    with Connection(tunnel(echo)) as visitor:
        time.sleep(180)
        visitor.send(b"still there")
        assert visitor.socket.recv(100) == b"still there"
