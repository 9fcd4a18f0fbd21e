"""A store of shares in memory, which a test may take away."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from egtunnel.errors import StoreUnavailable
from egtunnel.sharing.book import Book
from egtunnel.sharing.limits import SharingLimits
from egtunnel.sharing.making import NewShare, create_share, read_wish
from egtunnel.store.records import ShareRecord

__all__ = ["NOON", "Shelf"]

NOON = 1_800_000_000.0


class Shelf:
    """The rows, and a book that reads them; ``away``: the store does not answer. ``clock`` is also the time of day."""

    def __init__(self, limits: SharingLimits | None = None) -> None:
        self.rows: dict[str, ShareRecord] = {}
        self.away = False
        self.asked = 0
        self.uses: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.clock = Clock()
        self.book = Book(self, self.clock, self.wall, limits, lambda what, share: self.told.append((what, share)))

    def wall(self) -> float:
        """The time of day."""
        return NOON + self.clock.seconds()

    def add(self, *tunnels: str, owner: str = "ann", **terms: Any) -> NewShare:
        """A share of these hosts."""
        wish = read_wish({"tunnels": list(tunnels or ("app.example.com",)), **terms})
        made = create_share(wish, owner, self.wall())
        self.rows[made.record.id] = made.record
        return made

    def change(self, made: NewShare, **members: Any) -> None:
        """In the rows alone."""
        self.rows[made.record.id] = attrs.evolve(self.rows[made.record.id], **members)

    # -- IShares

    def find(self, digest: bytes) -> Deferred[ShareRecord | None]:
        return self._answer(next((row for row in self.rows.values() if row.digest == digest), None))

    def get(self, share: str) -> Deferred[ShareRecord | None]:
        return self._answer(self.rows.get(share))

    def use(self, share: str, now: float) -> Deferred[bool]:
        left = self.rows[share].uses_left
        taken = left is not None and left > 0
        if taken and left is not None:
            self.rows[share] = attrs.evolve(self.rows[share], uses_left=left - 1)
        return self._answer(taken)

    def used(self, share: str, now: float) -> None:
        self.uses.append(share)

    def _answer(self, value: Any) -> Deferred[Any]:
        self.asked += 1
        return fail(StoreUnavailable("away")) if self.away else succeed(value)
