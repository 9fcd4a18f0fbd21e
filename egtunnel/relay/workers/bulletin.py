"""What all workers have to know before anybody is told that it holds: changes are counted, and who saw them.

Pure: who sends is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from egtunnel.relay.workers.wire import Words

__all__ = ["Bulletin"]


class Bulletin:
    """Tells every reader each change, in order, and makes a call once all of them have seen what came before it.

    :param tell: says something to one reader.
    """

    def __init__(self, tell: Callable[[int, Words], None]) -> None:
        self.seen: dict[int, int] = {}
        self._tell = tell
        self._turn = 0
        self._open = False
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def post(self, words: Words) -> None:
        """A change; more may follow before it is counted."""
        for reader in self.seen:
            self._tell(reader, words)
        self._open = True

    def changed(self) -> None:
        """Something that only some readers were told is to be seen, too."""
        self._open = True

    def after(self, call: Callable[[], None]) -> None:
        """Make the call when all that was posted before has been seen by everybody; calls keep their order."""
        self.settle()
        self._waiting.append((self._turn, call))
        self._go_on()

    def settle(self) -> None:
        """Ask all readers to say that they have seen what was posted."""
        if self._open:
            self._open = False
            self._turn += 1
            for reader in self.seen:
                self._tell(reader, {"type": "turn", "turn": self._turn})

    def join(self, reader: int) -> None:
        """One more reads from now on; before it serves anybody it reads all that holds now, which it was told."""
        self.seen[reader] = self._turn

    def leave(self, reader: int) -> None:
        """It reads no more."""
        self.seen.pop(reader, None)
        self._go_on()

    def saw(self, reader: int, turn: int) -> None:
        """It has seen everything up to this turn."""
        if reader in self.seen:
            self.seen[reader] = max(self.seen[reader], turn)
            self._go_on()

    def behind(self) -> list[int]:
        """Who has not seen everything."""
        return [reader for reader, turn in self.seen.items() if turn < self._turn]

    def _go_on(self) -> None:
        seen = min(self.seen.values(), default=self._turn)
        while self._waiting and self._waiting[0][0] <= seen:
            self._waiting.popleft()[1]()
