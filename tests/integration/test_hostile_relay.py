"""A relay that means harm: the client dials only what its own options name, names each error, and comes again."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from egtunnel.errors import (
    EgtunnelError,
    FlowControlError,
    FrameError,
    IllegalTransition,
    UnknownFrameType,
    UnknownTunnel,
)
from egtunnel.mux.frames import U16, FrameType
from tests.integration.daemons import Client, Daemon, Relay, free_port
from tests.integration.rawlink import RawRelay, credit, frame, message
from tests.integration.upstreams import Upstream

MIB = 1 << 20
Serve = Callable[[socket.socket], None]


class Elsewhere(Relay):
    """In place of a relay's process: where a client finds the relay of the test."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port


@pytest.fixture
def against(tmp_path: Path, start: Callable[[Daemon], Daemon]) -> Iterator[Callable[..., Client]]:
    """``against(serve, ...)``: a client whose relay is ``serve(connection)``; more arguments are its options."""
    token = tmp_path / "token"
    token.write_text("x" * 43)
    token.chmod(0o600)
    with contextlib.ExitStack() as stack:

        def run(serve: Serve, *options: str) -> Client:
            relay = Elsewhere(tmp_path, stack.enter_context(Upstream(serve)).port)
            client = Client(relay, "--token-file", str(token), *(options or ("--local", str(free_port()))))
            start(client)
            return client

        yield run


def linked(script: Callable[[RawRelay], None]) -> Serve:
    """Be a relay that lets the client in and then follows the script."""

    def serve(connection: socket.socket) -> None:
        relay = RawRelay(connection)
        relay.let_in()
        script(relay)

    return serve


NO_LINK: dict[str, bytes] = {
    "random bytes": random.Random(5).randbytes(100_000),
    "an endless head": b"HTTP/1.1 101 Switching Protocols\r\nX-A: " + b"a" * 4 * MIB,
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n",
    "a plain page": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "a wrong key": b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
}


@pytest.mark.parametrize("answer", NO_LINK.values(), ids=NO_LINK.keys())
def test_what_is_no_relay_is_said_and_tried_again(against: Callable[..., Client], answer: bytes) -> None:
    """The client says that it cannot reach the relay, and connects again and again."""
    attempts: queue.Queue[None] = queue.Queue()

    def serve(connection: socket.socket) -> None:
        attempts.put(None)
        connection.recv(65_536)
        connection.sendall(answer)

    client = against(serve)
    for _ in range(3):
        attempts.get(timeout=30)
    client.wait_for("cannot reach the relay at .*trying again")
    assert client.memory() < 200 * MIB
    client.assert_calm()


BROKEN: dict[str, tuple[list[bytes], type[EgtunnelError]]] = {
    "an unknown frame type": ([frame(99)], UnknownFrameType),
    "an OPEN with the client's parity": ([frame(FrameType.OPEN, 1, b"\0\1\0\0{}")], IllegalTransition),
    "an OPEN without JSON": ([frame(FrameType.OPEN, 2, b"\0\1\0\0{x")], FrameError),
    "DATA on a channel that never was": ([frame(FrameType.DATA, 44, b"abc")], IllegalTransition),
    "credit beyond the largest window": (
        [frame(FrameType.OPEN, 2, b'\0\1\0\0{"tunnel":1}'), credit(2, 0xFFFFFFFF)],
        FlowControlError,
    ),
    "more early data than allowed": (
        [frame(FrameType.OPEN, 2, b'\0\1\0\0{"tunnel":1}'), *[frame(FrameType.DATA, 2, b"a" * 60_000)] * 3],
        FlowControlError,
    ),
}


@pytest.mark.parametrize(("frames", "error"), BROKEN.values(), ids=BROKEN.keys())
def test_a_relay_that_breaks_the_protocol_is_told_what_it_broke(
    against: Callable[..., Client], frames: list[bytes], error: type[EgtunnelError]
) -> None:
    """The client ends the link with the named code, says so, and connects again."""
    endings: queue.Queue[tuple[int, str, int | None]] = queue.Queue()

    def script(relay: RawRelay) -> None:
        relay.send(*frames)
        endings.put(relay.ending())

    def quiet(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    with Upstream(quiet) as upstream:
        client = against(linked(script), "--local", str(upstream.port))
        for _ in range(2):
            code, reason, gone = endings.get(timeout=30)
            assert (code, gone) == (4000 + error.code, error.code), reason
        client.wait_for("the connection to the relay is lost: .*connecting again")
        client.assert_calm()


NOT_OFFERED: list[dict[str, Any]] = [
    {"tunnel": 2, "kind": "tcp"},
    {"tunnel": 0},
    {"tunnel": -1},
    {"tunnel": True},
    {"tunnel": "1"},
    {"tunnel": 1.0},
    {"tunnel": 2**70},
    {"tunnel": [1]},
    {"tunnel": None, "host": "169.254.169.254", "port": 80},
    {},
]


def test_a_channel_for_what_the_client_does_not_offer_is_reset_and_nothing_is_dialled(
    against: Callable[..., Client],
) -> None:
    """Whatever an OPEN says, nobody is called but the service that the options name, and that for its number."""
    resets: queue.Queue[tuple[int, int]] = queue.Queue()
    dialled: queue.Queue[None] = queue.Queue()

    def script(relay: RawRelay) -> None:
        for place, metadata in enumerate(NOT_OFFERED):
            relay.open(2 + 2 * place, **metadata)
            channel, payload = relay.wait_for_frame(FrameType.RESET)
            resets.put((channel, U16.unpack_from(payload)[0]))
        relay.open(100, tunnel=1, kind="tcp", host="h", port=1, name="n")
        resets.put(relay.wait_for_frame(FrameType.ACCEPT))

    with Upstream(lambda _: dialled.put(None)) as upstream:
        client = against(linked(script), "--local", str(upstream.port))
        for place in range(len(NOT_OFFERED)):
            assert resets.get(timeout=30) == (2 + 2 * place, UnknownTunnel.code), NOT_OFFERED[place]
        assert resets.get(timeout=30)[0] == 100, "the link goes on, and what is offered is served"
        dialled.get(timeout=30)
        assert dialled.empty()
        client.assert_calm()


def test_text_of_a_relay_cannot_write_on_the_terminal(against: Callable[..., Client]) -> None:
    """Escape sequences and line ends in URLs, notices and refusals are printed as question marks."""
    evil = "\x1b[2J\nforged line\x07"

    def serve(connection: socket.socket) -> None:
        relay = RawRelay(connection)
        relay.read_message("hello")
        relay.send(message("welcome", session_id=evil, domain=evil))
        claim = relay.read_message("claim")
        relay.send(message("claimed", tunnel=claim["tunnel"], url=f"http://x{evil}"), message("notice", text=evil))
        relay.send(message("refused", code=evil, text=evil, tunnel=claim["tunnel"], retry=True))
        relay.send(message(f"nonsense{evil}"))
        relay.read_message("notice")
        relay.send(message("refused", code="x", text=evil, retry=False))
        relay.ending()

    client = against(serve)
    assert client.exit_status() == 1
    assert "\x1b" not in client.output
    assert "\x07" not in client.output
    assert not [line for line in client.lines if line.startswith("forged")]
    client.assert_calm()


def test_a_relay_that_floods_and_never_reads_is_cut_off(against: Callable[..., Client]) -> None:
    """Channels and pings without end, no answer taken: the client's memory is bounded, and it ends the link by name."""
    floods: queue.Queue[int] = queue.Queue()

    def script(relay: RawRelay) -> None:
        number = 2
        sent = 0
        while sent < 32 * MIB:
            channels = range(number, number + 2000, 2)
            data = b"".join(frame(FrameType.OPEN, channel, b'\0\1\0\0{"tunnel":9}') for channel in channels)
            relay.send(data, *[frame(FrameType.PING, 0, b"12345678")] * 1000)
            sent += len(data) + 16_000
            number += 2000
        floods.put(sent)

    client = against(linked(script))
    client.url()
    before = client.memory()
    client.wait_for("the connection to the relay is lost: the peer does not read our answers")
    assert client.memory() - before < 64 * MIB
    client.assert_calm()
