"""Free TCP ports of the loopback address, each given once."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

from bench.errors import BenchError

__all__ = ["Ports", "is_free"]

# Below the range from which Linux takes the ports of outgoing connections, so that none of the thousands of connections
# that the benchmark makes can sit on a port between the choice and the listening.
LOWEST, HIGHEST = 12_000, 32_000
ATTEMPTS = 1000


def is_free(port: int) -> bool:
    """Whether the port can be listened on, on the loopback address and on all addresses."""
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


class Ports:
    """Gives free ports, never the same one twice."""

    def __init__(
        self, choose: Callable[[int, int], int] = random.randint, free: Callable[[int], bool] = is_free
    ) -> None:
        self._choose = choose
        self._free = free
        self._given: set[int] = set()

    def take(self) -> int:
        """:raises BenchError: none was found in ATTEMPTS tries"""
        for _ in range(ATTEMPTS):
            port = self._choose(LOWEST, HIGHEST)
            if port not in self._given and self._free(port):
                self._given.add(port)
                return port
        raise BenchError(f"no free port found between {LOWEST} and {HIGHEST}")
