"""Say what is wrong without saying it again and again."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

__all__ = ["Calm"]


class Calm:
    """Passes a line on if it is news: another line than the last, or the same after ``every`` seconds."""

    def __init__(self, say: Callable[[str], None], clock: IReactorTime, every: float = 60.0) -> None:
        self._say = say
        self._clock = clock
        self._every = every
        self._last = ""
        self._again = 0.0

    def tell(self, line: str) -> bool:
        """Whether the line was said."""
        now = self._clock.seconds()
        if line == self._last and now < self._again:
            return False
        self._last, self._again = line, now + self._every
        self._say(line)
        return True
