"""What all tables share. Moments are seconds since 1970, as floats; texts come from outside already measured."""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["METADATA", "Moment", "rare"]

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Moment = sa.Double


def rare(column: str) -> sa.Index:
    """An index of a column that is empty in almost all rows: of those that have a value only.

    It stays small, and PostgreSQL sees that it is, also before it has counted the rows of a new table.
    """
    there = sa.text(f"{column} IS NOT NULL")
    return sa.Index(None, column, postgresql_where=there, sqlite_where=there)
