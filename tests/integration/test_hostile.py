"""Bytes that mean harm, to every public port: each gets a named error or a time-out, and nobody else notices."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.integration.house import AMOUNT, House, all_end, honest_house, mutated, undisturbed
from tests.integration.rawhttp import Connection, ask, connect_many
from tests.integration.upstreams import Nginx

REFUSALS = {400, 404, 405, 408, 413, 414, 431, 501, 502, 505}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[House]:
    """One house for all attacks."""
    with honest_house(tmp_path_factory.mktemp("house"), nginx) as built:
        yield built


@pytest.fixture(autouse=True)
def _undisturbed(house: House) -> Iterator[None]:
    with undisturbed(house):
        yield


# -- the HTTP port


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_to_the_http_port_are_a_bad_request(house: House, seed: int) -> None:
    """100,000 random bytes: one answer, bad-request, and the end."""
    with Connection(house.relay.port) as visitor:
        visitor.send(random.Random(seed).randbytes(AMOUNT))
        answer = visitor.answer()
        assert (answer.status, answer.error) == (400, "bad-request")
        assert visitor.rest() == b""


@pytest.mark.parametrize("seed", range(2))
def test_random_bytes_after_a_good_request_are_a_bad_request(house: House, seed: int) -> None:
    """The good request is served, the bytes after it are refused, and that is all."""
    with Connection(house.relay.port) as visitor:
        good = f"GET /hello HTTP/1.1\r\nHost: {house.host}\r\n\r\n".encode()
        visitor.send(good + random.Random(seed).randbytes(AMOUNT))
        assert visitor.answer().status == 200
        assert visitor.answer().error == "bad-request"
        assert visitor.rest() == b""


def sample(house: House) -> bytes:
    """A good request with a body."""
    return (
        f"POST /hello?q=1 HTTP/1.1\r\nHost: {house.host}\r\nUser-Agent: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nX-Trailer: t\r\n\r\n"
    ).encode()


def test_a_request_cut_off_anywhere_ends_its_connection_alone(house: House) -> None:
    """Every prefix of a request and no more: the relay ends each without waiting for a time-out."""
    request = sample(house)
    with contextlib.ExitStack() as stack:
        visitors = connect_many(stack, house.relay.port, len(request))
        for size, visitor in enumerate(visitors):
            visitor.send(request[:size])
            visitor.finish()
        all_end(visitors)


def test_mutated_requests_are_answered_or_ended(house: House) -> None:
    """300 damaged requests: an answer out of the error table, the upstream's own, or an end."""
    dice = random.Random(1)
    for number in range(300):
        with Connection(house.relay.port) as visitor:
            request = mutated(sample(house), dice)
            visitor.send(request)
            visitor.finish()
            status = visitor.answer().status
            assert status in REFUSALS | {0, 200, 403}, (number, request, status)
            visitor.rest()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /" + "a" * 1_048_576 + " HTTP/1.1\r\nHost: {host}\r\n\r\n", 414),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nX-A: " + "a" * 1_048_576 + "\r\n\r\n", 431),
        ("GET / HTTP/1.1\r\nHost: {host}\r\n" + "X-A: b\r\n" * 600 + "\r\n", 431),
        ("GET / HTTP/1.1\r\nHost: {host}\r\n" + "a" * 1_048_576 + ": b\r\n\r\n", 431),
        ("GET / HTTP/1.1\r\nHost: " + "a" * 1_048_576 + "\r\n\r\n", 431),
        ("A" * 1_048_576, 400),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nX-A: " + "a" * 1_048_576, 431),  # and no end of it
    ],
    ids=["target", "value", "600 headers", "name", "host", "method", "without end"],
)
def test_a_head_that_is_too_large_is_refused_by_name(house: House, head: str, status: int) -> None:
    """1 MiB of anything in a head: the error that fits, and the end of the connection."""
    with Connection(house.relay.port) as visitor:
        visitor.send(head.replace("{host}", house.host).encode())
        answer = visitor.answer()
        assert (answer.status, bool(answer.error)) == (status, True)
        assert visitor.rest() == b""


def test_a_thousand_connections_that_send_nothing_or_too_little_are_ended(house: House) -> None:
    """Silence, half a head, half a body, one byte at a time: each is ended in its time, honest visitors go on."""
    half = f"POST /hello HTTP/1.1\r\nHost: {house.host}\r\nX-A: ".encode()
    with contextlib.ExitStack() as stack:
        visitors = connect_many(stack, house.relay.port, 1000)
        for visitor in visitors[800:900]:
            visitor.send(half)
        drip = visitors[900:]
        over = threading.Event()

        def slowly() -> None:
            while not over.wait(0.5):
                for visitor in drip:
                    visitor.send(b"G")

        thread = threading.Thread(target=slowly)
        thread.start()
        try:
            all_end(visitors)
        finally:
            over.set()
            thread.join()


# -- the TCP port


def test_random_bytes_pass_through_a_tcp_tunnel_as_they_are(house: House) -> None:
    """100,000 random bytes come back from the echo, the same."""
    data = random.Random(2).randbytes(AMOUNT)
    with Connection(house.tcp_port) as visitor:

        def speak() -> None:
            visitor.send(data)
            visitor.finish()

        sender = threading.Thread(target=speak)
        sender.start()
        assert visitor.rest() == data
        sender.join()


def test_a_thousand_connections_to_a_tcp_tunnel_that_send_nothing_leave_room_for_others(house: House) -> None:
    """They may stay, as a TCP tunnel knows no requests; when they go, so do their descriptors on both sides."""
    with contextlib.ExitStack() as stack:
        connect_many(stack, house.tcp_port, 990)
        house.serve()


def test_connections_that_are_reset_in_the_middle_leave_nothing(house: House) -> None:
    """200 visitors who send and reset at once, on both ports."""
    linger = b"\1\0\0\0\0\0\0\0"
    for number in range(200):
        port = house.tcp_port if number % 2 else house.relay.port
        visitor = Connection(port)
        visitor.send(sample(house)[: 10 + number])
        visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        visitor.socket.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 400),
        ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400),
        ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n", 400),
    ],
    ids=["no upgrade", "no key", "a bad key"],
)
def test_a_bad_upgrade_of_the_link_path_is_a_bad_request(house: House, headers: str, status: int) -> None:
    """``/connect`` without a proper WebSocket handshake is refused with an HTTP status."""
    request = f"GET /connect HTTP/1.1\r\nHost: localhost:{house.relay.port}\r\n{headers}\r\n"
    assert ask(house.relay.port, request.encode()).status in (status, 426)
