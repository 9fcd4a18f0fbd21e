"""Writing at once: sooner than Twisted's own write, and otherwise just like it."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactor, StringTransport

from egtunnel.eager import SMALL, UNSENT, tune, write_now


class Knobs:
    """A transport that remembers how it was tuned."""

    turned: dict[str, bool]

    def __init__(self) -> None:
        self.turned = {}

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.turned["no delay"] = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.turned["keep alive"] = enabled


def test_sockets_are_tuned_and_what_is_none_is_left_alone() -> None:
    """Small writes leave at once and dead peers are found; a channel has no such knobs."""
    knobs = Knobs()
    tune(knobs)
    assert knobs.turned == {"no delay": True, "keep alive": True}
    tune(object())


class Reached(Knobs):
    """One with a real socket below."""

    def __init__(self, below: socket.socket) -> None:
        super().__init__()
        self.socket = below


@pytest.mark.parametrize("unsent", [UNSENT, 0])
def test_the_kernel_keeps_little_for_a_peer_that_takes_nothing(unsent: int) -> None:
    """``UNSENT`` bytes beside what the peer's own kernel has; without that bound it would be megabytes."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()) as near:
            near.setblocking(False)
            tune(Reached(near), unsent)
            taken = 0
            with contextlib.suppress(BlockingIOError):
                while taken < 64 * UNSENT:
                    taken += near.send(bytes(UNSENT // 2))
    assert (taken < 3 * UNSENT) == bool(unsent)


class Gauge:
    """A producer that remembers whether it may produce."""

    running = True

    def pauseProducing(self) -> None:
        self.running = False

    def resumeProducing(self) -> None:
        self.running = True

    def stopProducing(self) -> None:
        self.running = False


class Ends:
    """A real TCP connection: a Twisted transport on one end, a plain socket on the other."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.far = socket.create_connection(listening.getsockname())
            near, address = listening.accept()
        near.setblocking(False)
        self.far.settimeout(5)
        self.reactor: Any = MemoryReactor()
        protocol = Protocol()
        self.near: Any = Server(near, protocol, address, None, 1, self.reactor)  # type: ignore[arg-type]
        protocol.makeConnection(self.near)

    def waiting(self) -> bool:
        """Whether the transport waits to be told that its socket is writable."""
        return self.near in self.reactor.getWriters()

    def write_out(self) -> None:
        """What the reactor would do as long as the socket is writable."""
        while self.waiting():
            self.near.doWrite()

    def close(self) -> None:
        self.far.close()
        self.near.socket.close()


@pytest.fixture
def ends() -> Any:
    pair = Ends()
    yield pair
    pair.close()


def test_a_small_write_is_sent_before_the_call_returns(ends: Ends) -> None:
    """No loop turn, no waiting for the socket to be writable."""
    write_now(ends.near, b"now")
    assert ends.far.recv(10) == b"now"
    assert not ends.waiting()


def test_what_was_written_before_leaves_before(ends: Ends) -> None:
    """Nothing overtakes bytes that wait in the transport."""
    ends.near.write(b"first ")
    write_now(ends.near, b"second")
    assert ends.waiting()
    ends.write_out()
    assert ends.far.recv(100) == b"first second"


def test_bulk_takes_the_ordinary_way(ends: Ends) -> None:
    """It gains by being sent several writes at once."""
    write_now(ends.near, bytes(SMALL + 1))
    assert ends.waiting()


def test_what_a_full_socket_does_not_take_waits_in_order(ends: Ends) -> None:
    """Every byte arrives once, and the producer is paused as by Twisted's own write."""
    gauge = Gauge()
    ends.near.registerProducer(gauge, True)
    sent = b""
    number = 0
    while gauge.running:
        piece = number.to_bytes(4, "big") * (SMALL // 4)
        write_now(ends.near, piece)
        sent += piece
        number += 1
    received = b""
    while len(received) < len(sent):
        if ends.waiting():
            ends.near.doWrite()
        received += ends.far.recv(1 << 20)
    assert received == sent
    assert gauge.running


def test_a_broken_socket_is_left_for_twisted_to_notice(ends: Ends) -> None:
    """No error reaches the writer."""
    ends.near.socket.close()
    write_now(ends.near, b"into the void")
    assert ends.waiting()


def test_after_the_end_was_asked_for_nothing_jumps_the_queue(ends: Ends) -> None:
    """With a half-close or a close under way the transport decides."""
    ends.near.loseWriteConnection()
    write_now(ends.near, b"late")
    assert ends.near._tempDataBuffer == [b"late"]


def test_any_other_transport_is_simply_written_to() -> None:
    """TLS, channels, doubles of tests."""
    transport = StringTransport()
    write_now(transport, b"plain")
    assert transport.value() == b"plain"


def test_a_unix_socket_is_left_alone() -> None:
    """It knows none of TCP's options, and says so with an error."""
    near, far = socket.socketpair(socket.AF_UNIX)
    with near, far:
        tune(Reached(near))
        with pytest.raises(OSError, match="not supported"):
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1)
