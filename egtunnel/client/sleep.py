"""Notices that this machine, or this process, has been asleep: whatever stood before may be gone."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

__all__ = ["Sleep"]

TICK = 1.0
"""Seconds between two looks at the clocks."""
NOTICED = 5.0
"""Seconds that a look may be late: longer, and we were asleep."""


def _boot_time() -> float:
    """Seconds since the machine was started, those in which it was suspended among them."""
    clock: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class Sleep:
    """Looks at the clock each second, and calls ``woke(seconds)`` if the last look was too long ago.

    :param now: seconds that go on while the machine is suspended.
    """

    def __init__(
        self, clock: IReactorTime, woke: Callable[[float], None], now: Callable[[], float] = _boot_time
    ) -> None:
        self._woke = woke
        self._now = now
        self._last = 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self) -> None:
        """Look from now on."""
        if not self._looking.running:
            self._last = self._now()
            self._looking.start(TICK, now=False)

    def stop(self) -> None:
        """Look no longer."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        last, self._last = self._last, self._now()
        asleep = self._last - last - TICK
        if asleep > NOTICED:
            self._woke(asleep)
