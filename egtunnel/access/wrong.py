"""How often an address was wrong of late. Pure; moments are seconds of one clock."""

from __future__ import annotations

__all__ = ["Wrong"]

ADDRESSES = 10_000
"""Remembered; beyond, those whose window began first are forgotten."""


class Wrong:
    """Counts within a window that begins with the first time."""

    def __init__(self, most: int, window: float) -> None:
        self._most = most
        self._window = window
        self._known: dict[str, tuple[float, int]] = {}

    def note(self, address: str, now: float) -> None:
        """It was wrong."""
        began, count = self._known.get(address, (now, 0))
        if now - began >= self._window:
            self._known.pop(address, None)
            began, count = now, 0
        if address not in self._known and len(self._known) >= ADDRESSES:
            del self._known[next(iter(self._known))]
        self._known[address] = began, count + 1

    def wait(self, address: str, now: float) -> float:
        """Seconds until it may try again; 0: now."""
        began, count = self._known.get(address, (now, 0))
        return began + self._window - now if count >= self._most and now - began < self._window else 0.0
