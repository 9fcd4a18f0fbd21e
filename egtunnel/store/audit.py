"""The audit log: what was refused, when, to whom; bounded in number and in age."""

from __future__ import annotations

import builtins
from collections.abc import Iterable

import sqlalchemy as sa

from egtunnel.store.metadata import METADATA, Moment
from egtunnel.store.records import RefusalRecord

__all__ = ["AUDIT", "Audit"]

LONGEST = {"rule": 64, "whom": 128, "what": 512}
"""Characters that are kept of what a stranger may have chosen."""
AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", Moment, nullable=False, index=True),
    sa.Column("rule", sa.String(LONGEST["rule"]), nullable=False),
    sa.Column("whom", sa.String(LONGEST["whom"]), nullable=False),
    sa.Column("what", sa.String(LONGEST["what"]), nullable=False),
)


class Audit:
    """The table ``audit``."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, refusals: Iterable[RefusalRecord]) -> None:
        """Append some; texts are cut, and NUL, which PostgreSQL does not take, is replaced."""
        rows = [
            {"at": found.at, **{name: _fit(getattr(found, name), size) for name, size in LONGEST.items()}}
            for found in refusals
        ]
        if rows:
            self._connection.execute(sa.insert(AUDIT), rows)

    def list(self, before: int | None = None, most: int = 100) -> builtins.list[RefusalRecord]:
        """Newest first, from the one before ``before`` (an id)."""
        query = sa.select(AUDIT).order_by(AUDIT.c.id.desc()).limit(most)
        if before is not None:
            query = query.where(AUDIT.c.id < before)
        return [RefusalRecord(**row) for row in self._connection.execute(query).mappings()]

    def prune(self, oldest: float, most: int) -> int:
        """Forget what is older than a moment, and all but the newest ``most``; returns how many."""
        newest = self._connection.execute(sa.select(sa.func.max(AUDIT.c.id))).scalar_one_or_none() or 0
        old = sa.or_(AUDIT.c.at < oldest, AUDIT.c.id <= newest - most)
        return self._connection.execute(sa.delete(AUDIT).where(old)).rowcount


def _fit(text: str, size: int) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:size]
