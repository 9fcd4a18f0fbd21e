"""How long to wait before the next attempt to reach the relay: pure arithmetic, randomness passed in."""

from __future__ import annotations

from collections.abc import Callable

import attrs

__all__ = ["Backoff", "BackoffLimits"]


@attrs.frozen
class BackoffLimits:
    """Bounds of the waits, in seconds.

    ``first`` is the shortest wait and ``most`` the longest; each failure in a row doubles it. ``after`` is the longest
    wait that a relay may ask for. Who was connected for ``steady`` seconds, or moved ``busy`` bytes, does not wait at
    all the first time: such a link was a good one, and whoever cuts it cannot make us dial in a tight loop.
    """

    first: float = 0.1
    most: float = 30.0
    after: float = 600.0
    steady: float = 5.0
    busy: int = 1_048_576


class Backoff:
    """Counts failures in a row and names the wait after each; ``reset`` once the relay has said welcome.

    Each wait is drawn evenly between a base and twice the base, so that a thousand clients cut off by the same restart
    do not come back in step.

    :param random: gives a number from 0 up to 1.
    """

    def __init__(self, random: Callable[[], float], limits: BackoffLimits | None = None) -> None:
        self._random = random
        self._limits = limits or BackoffLimits()
        self._base = self._limits.first
        self.failures = 0

    def next_delay(self, after: float = 0.0, connected: float = 0.0, carried: int = 0) -> float:
        """The wait after one more failure; not less than the ``after`` that a refusal asked for.

        ``connected``: for how many seconds we were before it, and ``carried`` how many bytes.
        """
        limits = self._limits
        if (connected >= limits.steady or carried >= limits.busy) and not self.failures:
            self.failures = 1
            return min(after, limits.after)
        base = min(self._base, limits.most / 2)
        self.failures += 1
        self._base = min(base * 2, limits.most)
        return max(base * (1 + self._random()), min(after, limits.after))

    def reset(self) -> None:
        """The relay said welcome: the next failure is a fresh one."""
        self.failures = 0
        self._base = self._limits.first
