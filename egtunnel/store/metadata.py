"""What all tables share. Moments are seconds since 1970, as floats; texts come from outside already measured."""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["METADATA", "Moment"]

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Moment = sa.Double
