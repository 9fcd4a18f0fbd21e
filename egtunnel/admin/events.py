"""What happens, told to whoever listens (server-sent events)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from egtunnel.admin.limits import ApiLimits
from egtunnel.admin.problems import Problem

__all__ = ["Events", "Subscriber"]


class Events:
    """Numbers events and passes them on. ``wall``: the time of day, in seconds since 1970."""

    def __init__(self, clock: IReactorTime, wall: Callable[[], float], limits: ApiLimits) -> None:
        self.limits = limits
        self._clock = clock
        self._wall = wall
        self._number = 0
        self._subscribers: set[Subscriber] = set()
        self._call: IDelayedCall | None = None

    def tell(self, what: str, /, **words: Any) -> None:
        """Something has happened: ``claimed``, ``released``, ``refused``, ``share-used``..."""
        self._number += 1
        if self._subscribers:
            data = json.dumps({"at": round(self._wall(), 3), **words}, sort_keys=True)
            self._send(f"id: {self._number}\nevent: {what}\ndata: {data}\n\n".encode())

    def subscribe(self, request: Any) -> Subscriber:
        """Tell this request from now on. Raises Problem."""
        if len(self._subscribers) >= self.limits.subscribers:
            raise Problem(503, "too-many-subscribers", f"{self.limits.subscribers} listen already", Retry_After="10")
        subscriber = Subscriber(request, self.limits.backlog, self._subscribers.discard)
        self._subscribers.add(subscriber)
        if self._call is None:
            self._call = self._clock.callLater(self.limits.ping, self._ping)
        return subscriber

    def close(self) -> None:
        """Nothing happens any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        for subscriber in list(self._subscribers):
            subscriber.end()

    def _ping(self) -> None:
        self._call = None
        self._send(b": ping\n\n")
        if self._subscribers:
            self._call = self._clock.callLater(self.limits.ping, self._ping)

    def _send(self, data: bytes) -> None:
        for subscriber in list(self._subscribers):
            subscriber.send(data)


class Subscriber:
    """One who listens; who is too slow is cut off, so that nobody waits for it. A push producer (IPushProducer).

    :ivar over: fires at the end; cancelled when the listener goes.
    """

    def __init__(self, request: Any, backlog: int, over: Callable[[Subscriber], None]) -> None:
        self._request = request
        self._backlog = backlog
        self._leave = over
        self._paused = self._ended = False
        self._waiting: list[bytes] = []
        self.over: Deferred[bytes] = Deferred(lambda _: self._gone())
        request.setHeader(b"Content-Type", b"text/event-stream")
        request.setHeader(b"Cache-Control", b"no-store")
        request.registerProducer(self, True)
        request.write(b": listening\n\n")

    def send(self, data: bytes) -> None:
        """Now, or when it reads again."""
        if not self._paused:
            self._request.write(data)
            return
        self._waiting.append(data)
        if sum(map(len, self._waiting)) > self._backlog:
            self._request.loseConnection()
            self._gone()

    def end(self) -> None:
        """There is nothing more to come."""
        if not self._ended:
            self._gone()
            self._request.unregisterProducer()
            self.over.callback(b"")

    def _gone(self) -> None:
        self._ended = True
        self._waiting.clear()
        self._leave(self)

    def pauseProducing(self) -> None:
        """It does not read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It reads again."""
        self._paused = False
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._request.write(data)

    def stopProducing(self) -> None:
        """It is gone."""
        self._gone()
