"""Usage: what went through the tunnels of each token in each month."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from egtunnel.store.metadata import METADATA
from egtunnel.store.records import UsageRecord

__all__ = ["USAGE", "Usage"]

USAGE = sa.Table(
    "usage",
    METADATA,
    sa.Column("token", sa.String(32), primary_key=True),
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("sent", sa.BigInteger, nullable=False),
)
_NUMBERS = ("requests", "received", "sent")
_FIELDS = ("token", "month", *_NUMBERS)


class Usage:
    """The table ``usage``; kept for tokens that are no more, too."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, more: Iterable[UsageRecord]) -> None:
        """Add numbers to what is there; from any number of relays."""
        rows = [{name: getattr(record, name) for name in _FIELDS} for record in more]
        if not rows:
            return
        insert: Any = sqlite.insert if self._connection.dialect.name == "sqlite" else postgresql.insert
        added = insert(USAGE)
        total = {name: USAGE.c[name] + added.excluded[name] for name in _NUMBERS}
        # In one order, so that two relays never wait for each other.
        rows.sort(key=lambda row: (row["token"], row["month"]))
        self._connection.execute(added.on_conflict_do_update(index_elements=["token", "month"], set_=total), rows)

    def of(self, token: str, month: str) -> UsageRecord:
        """One token's month; zeros where nothing is known."""
        query = sa.select(USAGE).where(USAGE.c.token == token, USAGE.c.month == month)
        row = self._connection.execute(query).mappings().first()
        return UsageRecord(token, month) if row is None else UsageRecord(**row)

    def list(self, month: str, after: str = "", most: int = 100) -> builtins.list[UsageRecord]:
        """All tokens' month, by token, from the one after ``after``."""
        query = sa.select(USAGE).where(USAGE.c.month == month, USAGE.c.token > after)
        rows = self._connection.execute(query.order_by(USAGE.c.token).limit(most)).mappings()
        return [UsageRecord(**row) for row in rows]
