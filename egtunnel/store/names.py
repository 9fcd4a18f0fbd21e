"""Reservations for good: which owner has which name, custom host or port, also with no client there."""

from __future__ import annotations

import builtins

import attrs
import sqlalchemy as sa

from egtunnel.store.metadata import METADATA, Moment
from egtunnel.store.owners import OWNERS
from egtunnel.store.records import NameRecord

__all__ = ["NAMES", "Names"]

NAMES = sa.Table(
    "names",
    METADATA,
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("value", sa.String(255), primary_key=True),
    sa.Column("owner", sa.String(32), sa.ForeignKey(OWNERS.c.id), nullable=False, index=True),
    sa.Column("proven", sa.String(16), nullable=False),
    sa.Column("created", Moment, nullable=False),
)


class Names:
    """The table ``names``."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def reserve(self, *names: NameRecord) -> None:
        """Give places to their owners. Raises StoreConflict if somebody has one of them, this owner included."""
        self._connection.execute(sa.insert(NAMES), [attrs.asdict(name) for name in names])

    def find(self, kind: str, value: str) -> NameRecord | None:
        """Who has a place."""
        query = sa.select(NAMES).where(NAMES.c.kind == kind, NAMES.c.value == value)
        row = self._connection.execute(query).mappings().first()
        return None if row is None else NameRecord(**row)

    def count(self, owner: str, kind: str, proven: str) -> int:
        """How many places of a kind an owner has by this proof."""
        query = sa.select(sa.func.count()).where(NAMES.c.owner == owner, NAMES.c.kind == kind, NAMES.c.proven == proven)
        return int(self._connection.execute(query).scalar_one())

    def stamp(self) -> tuple[int, float]:
        """Differs from an earlier one if anything was reserved or released meanwhile."""
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(NAMES.c.created), 0.0)).select_from(NAMES)
        count, newest = self._connection.execute(query).one()
        return int(count), float(newest)

    def holders(self, most: int) -> builtins.list[tuple[str, str, str, str]]:
        """Kind, value, owner's id and owner's name of all places, ``most`` at most."""
        query = sa.select(NAMES.c.kind, NAMES.c.value, OWNERS.c.id, OWNERS.c.name).join(
            OWNERS, OWNERS.c.id == NAMES.c.owner
        )
        rows = self._connection.execute(query.order_by(NAMES.c.kind, NAMES.c.value).limit(most))
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def list(
        self, owner: str | None = None, after: tuple[str, str] = ("", ""), most: int = 100
    ) -> builtins.list[NameRecord]:
        """Of one owner or of all, by kind and value, from the one after ``after``."""
        kind, value = after
        later = sa.or_(NAMES.c.kind > kind, sa.and_(NAMES.c.kind == kind, NAMES.c.value > value))
        query = sa.select(NAMES).where(later).order_by(NAMES.c.kind, NAMES.c.value).limit(most)
        if owner is not None:
            query = query.where(NAMES.c.owner == owner)
        return [NameRecord(**row) for row in self._connection.execute(query).mappings()]

    def release(self, kind: str, value: str, owner: str | None = None) -> bool:
        """Nobody has the place any more; with ``owner``: only if it is that one's. False: nothing changed."""
        change = sa.delete(NAMES).where(NAMES.c.kind == kind, NAMES.c.value == value)
        if owner is not None:
            change = change.where(NAMES.c.owner == owner)
        return self._connection.execute(change).rowcount == 1
