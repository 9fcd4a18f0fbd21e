"""The last values that were seen, bounded in number and in age. Pure; moments are seconds of one clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

__all__ = ["Cache", "CacheLimits"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@attrs.frozen
class CacheLimits:
    """``tokens``: remembered, for when the store is away; ``age``: seconds for which one that was seen is good then.

    ``after``: seconds that others are asked to wait.
    """

    tokens: int = 10_000
    age: float = 86_400.0
    after: float = 5.0


class Cache(Generic[K, V]):
    """Forgets what was put longest ago, and gives nothing that is older than ``age``."""

    def __init__(self, entries: int, age: float) -> None:
        self._entries = entries
        self._age = age
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, key: K, value: V, now: float) -> None:
        """Remember a value as seen just now."""
        self._kept[key] = (now, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)

    def get(self, key: K, now: float) -> V | None:
        """The value, if it is not too old."""
        found = self._kept.get(key)
        if found is None:
            return None
        at, value = found
        if now - at >= self._age:
            del self._kept[key]
            return None
        return value

    def forget(self, key: K) -> None:
        """As if it had never been seen."""
        self._kept.pop(key, None)
