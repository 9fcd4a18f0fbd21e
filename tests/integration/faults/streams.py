"""Byte streams that tell what is wrong with them: made from a seed, checked by digest however early they end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

__all__ = ["KIB", "MIB", "Cut", "Short", "Tally", "Wrong", "digest_of", "pattern"]

KIB = 1 << 10
MIB = 1 << 20


class Cut(Exception):
    """A transfer ended before its time, and whoever took part was told so: an error, not a short stream."""


class Wrong(AssertionError):
    """A byte was lost, doubled or changed."""


class Short(Wrong):
    """A stream that was cut looks complete. Where bare TCP ends in a process that is killed, nothing can be done about
    that: its kernel says an orderly end.
    """


def pattern(seed: int, size: int) -> Iterator[bytes]:
    """``size`` bytes in pieces of 1 MiB; no two pieces of a seed are alike, and no two seeds."""
    block = hashlib.shake_256(b"%d" % seed).digest(MIB)
    for number in range(-(-size // MIB)):
        yield (number.to_bytes(8, "big") + block[8:])[: size - number * MIB]


def digest_of(seed: int, size: int) -> str:
    """The SHA-256 of the first ``size`` bytes of a seed, hex."""
    digest = hashlib.sha256()
    for piece in pattern(seed, size):
        digest.update(piece)
    return digest.hexdigest()


class Tally:
    """What came of the stream of a seed."""

    def __init__(self, seed: int, name: str) -> None:
        self.size = 0
        self._seed = seed
        self._name = name
        self._digest = hashlib.sha256()

    def take(self, data: bytes) -> None:
        """The next bytes."""
        self._digest.update(data)
        self.size += len(data)

    def check(self) -> None:
        """Raises Wrong unless what came is the beginning of the stream."""
        if self._digest.hexdigest() != digest_of(self._seed, self.size):
            raise Wrong(f"{self._name}: wrong bytes among the first {self.size} of the stream of seed {self._seed}")

    def whole(self, size: int) -> None:
        """Raises Wrong, or Short, unless the stream is there: ``size`` bytes and nothing more."""
        self.check()
        if self.size < size:
            raise Short(f"{self._name}: an orderly end after {self.size} of {size} bytes")
        if self.size > size:
            raise Wrong(f"{self._name}: {self.size} bytes that look complete, instead of {size}")
