"""What goes through a client, for the person before its screen: connections, bytes, and requests as they pass."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

import attrs

from egtunnel.splice import Half

__all__ = ["Passed", "Watch", "WatchedFar", "WatchedNear"]

LATEST = 10
LONGEST = 2_048
"""Bytes of a first line that are looked at."""
_REQUEST = re.compile(rb"([A-Z]{3,16}) (\S{1,1024}) HTTP/1\.[01]\r?\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] ([2-5][0-9]{2})")


@attrs.define
class Passed:
    """One request. ``status`` and ``seconds``: None: there is no answer yet."""

    method: str
    target: str
    began: float
    status: int | None = None
    seconds: float | None = None


class Watch:
    """Sums, and the latest requests.

    :param seconds: of a clock that never jumps.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.seconds = seconds
        self.connections = self.now = self.requests = 0
        self.received = self.sent = 0
        self.latest: deque[Passed] = deque(maxlen=LATEST)

    def asked(self, data: bytes) -> Passed | None:
        """Bytes of a visitor: a request, if they begin with one. The relay sends each head in one piece."""
        found = _REQUEST.match(data[:LONGEST])
        if found is None:
            return None
        target = found[2].partition(b"?")[0]
        passed = Passed(found[1].decode("ascii"), target.decode("latin-1"), self.seconds())
        self.requests += 1
        self.latest.append(passed)
        return passed

    def answered(self, passed: Passed, data: bytes) -> bool:
        """Bytes of the service: whether the answer has begun with them."""
        found = _ANSWER.match(data[:LONGEST])
        if found is None:
            return False
        passed.status, passed.seconds = int(found[1]), self.seconds() - passed.began
        return True


class WatchedNear(Half):
    """The visitor's end. ``waiting``: requests without an answer."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch
        self.waiting: deque[Passed] = deque(maxlen=LATEST)
        watch.connections += 1
        watch.now += 1

    def dataReceived(self, data: bytes) -> None:
        """Look, and pass on."""
        self.watch.received += len(data)
        passed = self.watch.asked(data)
        if passed is not None:
            self.waiting.append(passed)
        super().dataReceived(data)

    def connectionLost(self, *reason: object) -> None:
        """It is over."""
        self.watch.now -= 1
        super().connectionLost(*reason)  # type: ignore[arg-type]


class WatchedFar(Half):
    """The service's end."""

    def __init__(self, lost_as: type, near: WatchedNear) -> None:
        super().__init__(lost_as)
        self._near = near

    def dataReceived(self, data: bytes) -> None:
        """Look, and pass on."""
        near = self._near
        near.watch.sent += len(data)
        if near.waiting and near.watch.answered(near.waiting[0], data):
            near.waiting.popleft()
        super().dataReceived(data)
