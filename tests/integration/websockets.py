"""Visitors over WebSocket, many at once: a small client of our own (RFC 6455), told what to send and what to hear."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import ssl
from struct import pack, unpack

__all__ = ["Conversation", "echo_through"]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
TEXT, BINARY, CLOSE = 1, 2, 8


class Conversation:
    """One WebSocket of a visitor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(cls, port: int, host: str, tls: ssl.SSLContext | None = None) -> Conversation:
        """Connect and ask for the upgrade; an AssertionError if it is not granted as RFC 6455 section 4.2.2 says."""
        name = host.partition(":")[0] if tls is not None else None
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
        key = base64.b64encode(os.urandom(16))
        writer.write(
            f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 101 "), head
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        assert f"sec-websocket-accept: {accept}\r\n".lower() in head.lower(), head
        return cls(reader, writer)

    async def send(self, payload: bytes, opcode: int = BINARY) -> None:
        """One masked message."""
        length = len(payload)
        if length < 126:
            head = bytes((0x80 | opcode, 0x80 | length))
        elif length < 65_536:
            head = pack("!BBH", 0x80 | opcode, 0xFE, length)
        else:
            head = pack("!BBQ", 0x80 | opcode, 0xFF, length)
        mask = os.urandom(4)
        pad = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
        masked = (int.from_bytes(payload, "big") ^ pad).to_bytes(length, "big")
        self._writer.write(head + mask + masked)
        await self._writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        first, length = await self._reader.readexactly(2)
        if length == 126:
            (length,) = unpack("!H", await self._reader.readexactly(2))
        elif length == 127:
            (length,) = unpack("!Q", await self._reader.readexactly(8))
        return first & 0x0F, await self._reader.readexactly(length)

    async def end(self) -> None:
        """The closing handshake, and the end of the connection after it."""
        await self.send(pack("!H", 1000), CLOSE)
        opcode, payload = await self.receive()
        assert (opcode, payload[:2]) == (CLOSE, pack("!H", 1000))
        assert await self._reader.read() == b""
        self._writer.close()


async def echo_through(
    port: int, host: str, count: int, sizes: list[int], deadline: float, tls: ssl.SSLContext | None = None
) -> None:
    """``count`` WebSockets, all open before any of them speaks; each hears its own words, in order."""
    async with asyncio.timeout(deadline):
        conversations = await asyncio.gather(*(Conversation.begin(port, host, tls) for _ in range(count)))

        async def talk(number: int, conversation: Conversation) -> None:
            for turn, size in enumerate(sizes):
                message = f"{number} {turn} ".encode().ljust(size, b".")
                await conversation.send(message)
                assert await conversation.receive() == (BINARY, message)

        await asyncio.gather(*(talk(*pair) for pair in enumerate(conversations)))
        await asyncio.gather(*(conversation.end() for conversation in conversations))
