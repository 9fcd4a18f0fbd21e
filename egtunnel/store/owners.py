"""Owners: who has tokens, names and shares."""

from __future__ import annotations

import builtins

import sqlalchemy as sa

from egtunnel.store.metadata import METADATA, Moment, rare
from egtunnel.store.records import OwnerRecord

__all__ = ["OWNERS", "Owners"]

OWNERS = sa.Table(
    "owners",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(128), nullable=False, unique=True),
    sa.Column("created", Moment, nullable=False),
    sa.Column("disabled", Moment),
    rare("disabled"),
)


class Owners:
    """The table ``owners``."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def create(self, owner: OwnerRecord) -> None:
        """Add one. Raises StoreConflict if the id or the name exists."""
        self._connection.execute(sa.insert(OWNERS).values(id=owner.id, name=owner.name, created=owner.created))

    def find(self, owner: str) -> OwnerRecord | None:
        """By id."""
        return self._one(OWNERS.c.id == owner)

    def named(self, name: str) -> OwnerRecord | None:
        """By name."""
        return self._one(OWNERS.c.name == name)

    def list(self, after: str = "", most: int = 100) -> builtins.list[OwnerRecord]:
        """By name, from the one after ``after``."""
        query = sa.select(OWNERS).where(OWNERS.c.name > after).order_by(OWNERS.c.name).limit(most)
        return [OwnerRecord(**row) for row in self._connection.execute(query).mappings()]

    def disable(self, owner: str, now: float) -> bool:
        """From now on none of its tokens is good; False: there is none, or it is disabled already."""
        change = sa.update(OWNERS).where(OWNERS.c.id == owner, OWNERS.c.disabled.is_(None)).values(disabled=now)
        return self._connection.execute(change).rowcount == 1

    def enable(self, owner: str) -> bool:
        """Undo ``disable``."""
        change = sa.update(OWNERS).where(OWNERS.c.id == owner).values(disabled=None)
        return self._connection.execute(change).rowcount == 1

    def disabled_since(self, moment: float) -> builtins.list[str]:
        """Ids of owners disabled at or after a moment."""
        query = sa.select(OWNERS.c.id).where(OWNERS.c.disabled >= moment)
        return [row.id for row in self._connection.execute(query)]

    def _one(self, condition: sa.ColumnElement[bool]) -> OwnerRecord | None:
        row = self._connection.execute(sa.select(OWNERS).where(condition)).mappings().first()
        return None if row is None else OwnerRecord(**row)
