"""WebSockets through an HTTP tunnel."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
from collections.abc import Iterator

import pytest

from tests.integration.daemons import Client, Relay
from tests.integration.rawhttp import Connection
from tests.integration.streams.talk import PATIENCE, Share, head_of, request
from tests.integration.websockets import Conversation, echo_through
from tests.integration.wstest import echo_server


@pytest.fixture(scope="module")
def echo(relay: Relay) -> Iterator[str]:
    """The Host of a tunnel to Autobahn's echo server."""
    server, port = echo_server(relay.home)
    client = Client(relay, "--local", str(port), "--name", "echo")
    try:
        client.url()
        yield relay.host("echo")
        client.assert_calm()
    finally:
        client.end()
        server.end()


@pytest.mark.parametrize("count", [100, pytest.param(500, marks=pytest.mark.soak)])
def test_many_websockets_echo_through_one_tunnel(relay: Relay, echo: str, count: int) -> None:
    """All open at once; messages from 1 byte to 100 KB, the closing handshake, and the end come through."""
    before = relay.descriptors()
    asyncio.run(echo_through(relay.port, echo, count, [1, 125, 126, 4096, 65_535, 100_000, 10], PATIENCE))
    assert relay.descriptors() < before + count


def test_a_large_message_comes_back(relay: Relay, echo: str) -> None:
    """16 MiB in one message."""
    asyncio.run(echo_through(relay.port, echo, 1, [16 << 20], PATIENCE))


def test_a_websocket_by_path(relay: Relay, echo: str) -> None:
    """On the relay's own host, as it is used where there is no wildcard name: only the path differs."""
    assert echo.startswith("echo.")
    visitor = Connection(relay.port)
    with visitor:
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        visitor.send(request(f"localhost:{relay.port}", "/echo/", extra=upgrade + key))
        answer = visitor.answer()
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_words_sent_with_the_upgrade_are_not_lost(relay: Relay, share: Share) -> None:
    """What either side says in one breath with the heads belongs to the new protocol."""

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\nservice first;")
        while data := connection.recv(65_536):
            connection.sendall(data.upper())

    with Connection(relay.port) as visitor:
        visitor.send(request(share(serve), extra="Connection: upgrade\r\nUpgrade: talk\r\n") + b"visitor first;")
        assert visitor.answer().status == 101
        visitor.send(b"and more")
        visitor.finish()
        assert visitor.rest() == b"service first;VISITOR FIRST;AND MORE"


def test_a_websocket_whose_service_goes_away_ends(relay: Relay, share: Share) -> None:
    """The visitor sees the end of the connection."""

    def serve(connection: socket.socket) -> None:
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head_of(connection))
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        connection.recv(2)

    async def visit(host: str) -> None:
        conversation = await Conversation.begin(relay.port, host)
        await conversation.send(b"hello")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(conversation.receive(), PATIENCE)

    asyncio.run(visit(share(serve)))
