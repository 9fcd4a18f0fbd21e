"""A steady load of small requests on many tunnels, over kept and over new connections."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence

from tests.integration.daemons import until
from tests.integration.rawhttp import Connection

__all__ = ["SteadyLoad"]

PACE = 0.1
"""Seconds from one request of a visitor to the next."""
REQUESTS = 20
"""Of a kept connection, before another one is made."""


class SteadyLoad:
    """Ten visitors who ask for ``path`` ten times a second each, every other one over a new connection each time.

    :param bodies: what may be answered. Everything else is kept in ``failures``.
    """

    def __init__(self, port: int, hosts: Sequence[str], path: str, *bodies: bytes, visitors: int = 10) -> None:
        self.served = 0
        self.failures: list[str] = []
        self.bodies = bodies
        self._port = port
        self._hosts = itertools.cycle(hosts)
        self._path = path
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._visitors = [threading.Thread(target=self._visit, args=(number % 2 == 0,)) for number in range(visitors)]

    def __enter__(self) -> SteadyLoad:
        for visitor in self._visitors:
            visitor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for visitor in self._visitors:
            visitor.join()

    def more(self, requests: int) -> None:
        """Wait until so many more were served, or one failed."""
        enough = self.served + requests
        with until(f"{requests} requests to be served") as deadline:
            while self.served < enough and not self.failures and time.monotonic() < deadline:
                time.sleep(0.01)

    def _visit(self, keep: bool) -> None:
        while not self._over.is_set():
            with Connection(self._port) as visitor:
                for _ in range(REQUESTS if keep else 1):
                    if not self._over.is_set():
                        self._ask(visitor, keep)
                        self._over.wait(PACE)

    def _ask(self, visitor: Connection, keep: bool) -> None:
        with self._lock:
            host = next(self._hosts)
        kept = "keep-alive" if keep else "close"
        visitor.send(f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\nConnection: {kept}\r\n\r\n".encode())
        try:
            answer = visitor.answer()
            wrong = "" if answer.status == 200 and answer.body in self.bodies else f"{answer.status} {answer.error}"
        except (AssertionError, OSError) as error:
            wrong = repr(error)
        with self._lock:
            if wrong:
                self.failures.append(f"{host}: {wrong}")
            else:
                self.served += 1
