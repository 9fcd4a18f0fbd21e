"""A steady load of visitors in a thread of its own: requests on kept and on new connections, and WebSockets."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from tests.integration.rawhttp import Answer
from tests.integration.websockets import BINARY, Conversation

__all__ = ["Load"]

PATIENCE = 30.0
WORKERS = 10


class Load:
    """Visits until the block is left. ``answered``: requests with their 200; ``failures``: what went wrong, in words.

    Every second worker keeps its connection as long as the relay lets it, the others make one for each request.

    :param hosts: Hosts that are asked in turn.
    :param rate: requests a second, of all workers together.
    :param sockets: WebSockets through ``echo`` that say something twice a second and want to hear it again.
    """

    def __init__(self, port: int, hosts: list[str], rate: float, sockets: int = 0, echo: str = "") -> None:
        self.answered = self.echoed = 0
        self.failures: list[str] = []
        self._port = port
        self._hosts = hosts
        self._pause = WORKERS / rate
        self._sockets = sockets
        self._echo = echo
        self._over = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(PATIENCE), "the load did not begin"
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the load did not end"

    async def _run(self) -> None:
        sockets = [await Conversation.begin(self._port, self._echo) for _ in range(self._sockets)]
        self._begun.set()
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._ask(number))
            for conversation in sockets:
                group.create_task(self._talk(conversation))

    async def _ask(self, number: int) -> None:
        kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        turn = number
        while not self._over.is_set():
            turn += 1
            host = self._hosts[turn % len(self._hosts)]
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = kept or await asyncio.open_connection("127.0.0.1", self._port)
                    answer = await _get(reader, writer, host, keep=number % 2 == 0)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self.failures.append(f"{host} on a {'kept' if kept else 'new'} connection: {error!r}")
                kept = None
                continue
            if answer.status == 200:
                self.answered += 1
            else:
                self.failures.append(f"{host}: {answer.status} {answer.error}")
            kept = (reader, writer)
            if number % 2 or answer.headers.get("connection", "").lower() == "close":
                writer.close()
                kept = None
            await asyncio.sleep(self._pause)
        if kept is not None:
            kept[1].close()

    async def _talk(self, conversation: Conversation) -> None:
        turn = 0
        try:
            while not self._over.is_set():
                turn += 1
                words = b"words %d" % turn
                async with asyncio.timeout(PATIENCE):
                    await conversation.send(words, BINARY)
                    heard = await conversation.receive()
                if heard != (BINARY, words):
                    self.failures.append(f"a WebSocket heard {heard!r}")
                    return
                self.echoed += 1
                await asyncio.sleep(0.5)
            await conversation.end()
        except (OSError, EOFError, TimeoutError, AssertionError) as error:
            self.failures.append(f"a WebSocket after {turn} messages: {error!r}")


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, keep: bool) -> Answer:
    connection = "keep-alive" if keep else "close"
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n".encode())
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(first.split(" ")[1]), headers, body)
