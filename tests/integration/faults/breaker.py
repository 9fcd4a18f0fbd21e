"""A TCP proxy between two programs that breaks what it carries: now, after so many bytes, on one side or on both.

It can listen in one network namespace and connect in another, and so leads into a network of ``network.py``, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

import attrs

from tests.integration.faults.streams import KIB
from tests.integration.namespaces import inside

__all__ = ["DOWN", "UP", "Breaker"]

UP, DOWN = "up", "down"
"""Up: from who connected to whom it is connected with, client to relay; down: the way back."""
AT_ONCE = 256 * KIB
BUFFER = 1 << 20
PATIENCE = 10.0
LINGER_NOT = struct.pack("ii", 1, 0)
T = TypeVar("T")


@attrs.define
class Weather:
    """What all connections suffer. ``delay``: one way, seconds. ``cuts``: for each coming connection its direction and
    after how many bytes it is reset; used up one by one.
    """

    delay: float = 0.0
    held: set[str] = attrs.field(factory=set)
    swallowed: set[str] = attrs.field(factory=set)
    cuts: list[tuple[str, int]] = attrs.field(factory=list)


class _Line:
    """One connection: two sockets, and a pump for each direction."""

    def __init__(self, breaker: Breaker, near: socket.socket, far: socket.socket) -> None:
        self.breaker = breaker
        self.near, self.far = near, far
        cuts = breaker.weather.cuts
        self.cut: tuple[str, int] | None = cuts.pop(0) if cuts else None
        self.carried = {UP: 0, DOWN: 0}
        self.tasks: list[asyncio.Task[None]] = []
        self._over: set[str] = set()

    def start(self) -> None:
        for direction, source, sink in ((UP, self.near, self.far), (DOWN, self.far, self.near)):
            self.tasks.append(asyncio.ensure_future(self._pump(direction, source, sink)))

    async def _pump(self, direction: str, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        writer = asyncio.ensure_future(self._write(direction, sink, queue))
        self.tasks.append(writer)
        try:
            while data := await loop.sock_recv(source, AT_ONCE):
                await queue.put((time.monotonic() + self.breaker.weather.delay, data))
            await queue.put((0.0, b""))
        except OSError:
            self.end(reset=True)

    async def _write(self, direction: str, sink: socket.socket, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop, weather = asyncio.get_running_loop(), self.breaker.weather
        try:
            while True:
                due, data = await queue.get()
                while direction in weather.held:  # noqa: ASYNC110 - another thread says so
                    await asyncio.sleep(0.01)
                wait = due - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                if direction in weather.swallowed:
                    continue
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    self._over.add(direction)
                    if len(self._over) == 2:
                        self.end(reset=False)
                    return
                data, last = self._until_cut(direction, data)
                await loop.sock_sendall(sink, data)
                if last:
                    self.end(reset=True)
                    return
        except OSError:
            self.end(reset=True)

    def _until_cut(self, direction: str, data: bytes) -> tuple[bytes, bool]:
        """What still goes through, and whether the line is cut after it."""
        before = self.carried[direction]
        self.carried[direction] += len(data)
        if self.cut is None or self.cut[0] != direction or before + len(data) < self.cut[1]:
            return data, False
        return data[: max(0, self.cut[1] - before)], True

    def end(self, reset: bool, sides: str = UP + DOWN) -> None:
        """Close both sides, or the one that bytes of a direction come from."""
        if self in self.breaker.lines:
            self.breaker.lines.discard(self)
            current = asyncio.current_task()
            others = [task for task in self.tasks if task is not current]
            for task in others:
                task.cancel()
            self.breaker.later(self._close(others, reset, sides))

    async def _close(self, tasks: list[asyncio.Task[None]], reset: bool, sides: str) -> None:
        """Not before nobody waits for these sockets any more: their numbers are given to others at once."""
        await asyncio.gather(*tasks, return_exceptions=True)
        for direction, side in ((UP, self.near), (DOWN, self.far)):
            if direction not in sides:
                self.breaker.abandoned.append(side)  # stays open, and hears nothing any more
                continue
            if reset:
                with contextlib.suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            side.close()


class Breaker:
    """``port`` leads to ``target``; to be used with ``with``.

    :param listen_in, connect_in: names of network namespaces; "": the caller's own.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        listen_in: str = "",
        connect_in: str = "",
    ) -> None:
        self.target = target
        self.weather = Weather()
        self.lines: set[_Line] = set()
        self.abandoned: list[socket.socket] = []
        self.accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._connect_in = connect_in
        self._listener = _in(listen_in, lambda: socket.create_server((host, port), backlog=1024))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _call(self, what: Callable[[], Coroutine[Any, Any, int]]) -> int:
        return asyncio.run_coroutine_threadsafe(what(), self._loop).result(PATIENCE)

    async def _begin(self) -> int:
        self._accepting = asyncio.ensure_future(self._accept())
        return 0

    async def _end(self) -> int:
        self._accepting.cancel()
        self._listener.close()
        for line in list(self.lines):
            line.end(reset=True)
        for side in self.abandoned:
            side.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return 0

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            self.later(self._join(near))

    def later(self, what: Coroutine[Any, Any, None]) -> None:
        """Do it in a task of its own; only for what runs in our loop."""
        task = asyncio.ensure_future(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, near: socket.socket) -> None:
        far = _in(self._connect_in, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        for side in (near, far):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._loop.sock_connect(far, self.target)
        except OSError:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            near.close()
            far.close()
            return
        self.accepted += 1
        line = _Line(self, near, far)
        self.lines.add(line)
        line.start()

    # -- what goes wrong

    def reset(self, sides: str = UP + DOWN) -> int:
        """RST to both sides of every connection, or only to the one that bytes of a direction come from, while the
        other stays open and silent. Returns how many there were.
        """
        return self._break(reset=True, sides=sides)

    def close(self, sides: str = UP + DOWN) -> int:
        """The same with FIN."""
        return self._break(reset=False, sides=sides)

    def _break(self, reset: bool, sides: str) -> int:
        async def work() -> int:
            lines = list(self.lines)
            for line in lines:
                line.end(reset, sides)
            return len(lines)

        return self._call(work)

    def hold(self, *directions: str) -> None:
        """Nothing goes through any more; what comes meanwhile is kept. ``hold()`` ends it."""
        self.weather.held = set(directions)

    def swallow(self, *directions: str) -> None:
        """What comes is thrown away; a connection that lost bytes has to be reset in the end. ``swallow()`` ends it."""
        self.weather.swallowed = set(directions)

    def cut_next(self, *cuts: tuple[str, int]) -> None:
        """The next connections are reset after so many bytes of a direction, the first of these first."""
        self.weather.cuts = list(cuts)

    def cut_now(self, direction: str, size: int) -> None:
        """The connections there are are reset after so many bytes more."""

        async def work() -> int:
            for line in self.lines:
                line.cut = (direction, line.carried[direction] + size)
            return 0

        self._call(work)


def _in(namespace: str, call: Callable[[], T]) -> T:
    return inside(namespace, call) if namespace else call()
