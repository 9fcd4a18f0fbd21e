"""A quota of bytes for each month, pure: the month is that of UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

__all__ = ["Quota", "month_of", "next_month"]


def month_of(now: float) -> str:
    """``2026-11``, of seconds since 1970."""
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m}"


def next_month(now: float) -> float:
    """Seconds since 1970 at which the next month begins."""
    today = datetime.fromtimestamp(now, UTC)
    years, month = divmod(today.month, 12)
    return datetime(today.year + years, month + 1, 1, tzinfo=UTC).timestamp()


@attrs.define
class Quota:
    """``most`` bytes a month; ``used`` in ``month``. What the store knows is put in by ``restore``."""

    most: int
    month: str = ""
    used: int = 0

    def restore(self, month: str, used: int, now: float) -> None:
        """What other relays, or this one before its start, have counted; another month's number changes nothing."""
        self._turn(now)
        if month == self.month:
            self.used = max(self.used, used)

    def add(self, count: int, now: float) -> None:
        """Count bytes, which have gone already."""
        self._turn(now)
        self.used += count

    def left(self, now: float) -> int:
        """Bytes that may still go this month."""
        self._turn(now)
        return max(0, self.most - self.used)

    def retry_after(self, now: float) -> int:
        """Whole seconds until bytes may go again; 0: now."""
        return 0 if self.left(now) else int(next_month(now) - now) + 1

    def _turn(self, now: float) -> None:
        month = month_of(now)
        if month > self.month:  # a clock that is set back does not give a month twice
            self.month, self.used = month, 0
