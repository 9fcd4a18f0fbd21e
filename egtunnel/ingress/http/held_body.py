"""A request's body that a rule wants to read before anybody else: held whole, counted, then passed on in pieces."""

from __future__ import annotations

from typing import Protocol

from egtunnel.errors import OverLimit
from egtunnel.guard import BodyTooLarge

__all__ = ["HeldBodies", "HeldBody"]

PIECE = 65_536


class HeldBodies(Protocol):
    """Who counts the bytes of all bodies that are held: a ``Site``."""

    held: int


class HeldBody:
    """Holds up to ``most`` bytes, as long as all that are held stay below ``in_all``."""

    __slots__ = ("_counted", "_data", "_in_all", "_most", "_position", "_whole")

    def __init__(self, whole: HeldBodies, most: int, in_all: int) -> None:
        self._whole = whole
        self._most = most
        self._in_all = in_all
        self._data: bytearray | bytes = bytearray()
        self._counted = self._position = 0

    def add(self, data: bytes) -> None:
        """One more piece. Raises BodyTooLarge, or OverLimit where too much is held already."""
        if len(self._data) + len(data) > self._most:
            raise BodyTooLarge
        if self._whole.held + len(data) > self._in_all:
            raise OverLimit
        self._whole.held += len(data)
        self._counted += len(data)
        self._data += data

    def complete(self) -> bytes:
        """All of it."""
        self._data = bytes(self._data)
        return self._data

    def take(self) -> bytes:
        """The next piece to be passed on; empty: that was all."""
        piece = bytes(self._data[self._position : self._position + PIECE])
        self._position += len(piece)
        return piece

    def release(self) -> None:
        """Hold it no longer."""
        self._whole.held -= self._counted
        self._counted = 0
        self._data = b""
