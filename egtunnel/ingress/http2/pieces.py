"""What waits of one response's body, piece by piece. Pure."""

from __future__ import annotations

from collections import deque

__all__ = ["Pieces"]


class Pieces:
    """Bytes in the order in which they came; ``size`` of them. True while there are some."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes | memoryview] = deque()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, data: bytes) -> None:
        """One more piece, which is not empty."""
        self._pieces.append(data)
        self.size += len(data)

    def take(self, room: int) -> bytes | memoryview:
        """The first piece, or as much of it as there is room for; without a copy."""
        pieces = self._pieces
        piece = pieces[0]
        if len(piece) > room:
            view = memoryview(piece)
            pieces[0] = view[room:]
            piece = view[:room]
        else:
            pieces.popleft()
        self.size -= len(piece)
        return piece

    def clear(self) -> None:
        """Nothing of it is wanted any more."""
        self._pieces.clear()
        self.size = 0
