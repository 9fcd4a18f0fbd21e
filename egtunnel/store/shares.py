"""Shares: links that let in who has them, for a time, for some services."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from egtunnel.store.metadata import METADATA, Moment, rare
from egtunnel.store.owners import OWNERS
from egtunnel.store.records import ShareRecord

__all__ = ["SHARES", "Shares"]

SHARES = sa.Table(
    "shares",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("owner", sa.String(32), sa.ForeignKey(OWNERS.c.id), nullable=False, index=True),
    sa.Column("tunnels", sa.Text, nullable=False),
    sa.Column("services", sa.Text, nullable=False),
    sa.Column("permissions", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("expires", Moment, index=True),
    sa.Column("uses_left", sa.BigInteger),
    sa.Column("passphrase", sa.String(256), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("revoked", Moment),
    rare("revoked"),
    sa.Column("last_used", Moment),
    sa.Column("use_count", sa.BigInteger, nullable=False),
)
_LISTS = ("tunnels", "services", "permissions")
_BY_DIGEST = sa.select(SHARES).where(SHARES.c.digest == sa.bindparam("shown"))
_BY_ID = sa.select(SHARES).where(SHARES.c.id == sa.bindparam("shown"))


class Shares:
    """The table ``shares``."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def create(self, *shares: ShareRecord) -> None:
        """Add some. Raises StoreConflict if one exists, or its owner does not."""
        self._connection.execute(sa.insert(SHARES), [_values(share) for share in shares])

    def find(self, digest: bytes) -> ShareRecord | None:
        """By the SHA-256 of its token. The index sees a hash that nobody can steer, so its timing tells nothing."""
        return self._one(_BY_DIGEST, digest)

    def get(self, share: str) -> ShareRecord | None:
        """By id."""
        return self._one(_BY_ID, share)

    def list(self, owner: str | None = None, after: str = "", most: int = 100) -> builtins.list[ShareRecord]:
        """Of one owner or of all, by id, from the one after ``after``."""
        query = sa.select(SHARES).where(SHARES.c.id > after).order_by(SHARES.c.id).limit(most)
        if owner is not None:
            query = query.where(SHARES.c.owner == owner)
        return [_record(row) for row in self._connection.execute(query).mappings()]

    def revoke(self, share: str, now: float, owner: str | None = None) -> bool:
        """End one, of this owner if given; False: there is none, or it was revoked before."""
        change = sa.update(SHARES).where(SHARES.c.id == share, SHARES.c.revoked.is_(None)).values(revoked=now)
        if owner is not None:
            change = change.where(SHARES.c.owner == owner)
        return self._connection.execute(change).rowcount == 1

    def revoked_since(self, moment: float) -> builtins.list[str]:
        """Ids of shares revoked at or after a moment; as for tokens, ask for a minute more than has passed."""
        query = sa.select(SHARES.c.id).where(SHARES.c.revoked >= moment)
        return [row.id for row in self._connection.execute(query)]

    def use(self, share: str, now: float) -> bool:
        """Count one use, and take one of those that are left; False: none is left, or it is over.

        One statement: of two visitors who come for the last use one gets it, on whichever relay.
        """
        change = (
            sa.update(SHARES)
            .where(SHARES.c.id == share, SHARES.c.revoked.is_(None))
            .where(sa.or_(SHARES.c.expires.is_(None), SHARES.c.expires > now))
            .where(sa.or_(SHARES.c.uses_left.is_(None), SHARES.c.uses_left > 0))
            .values(uses_left=SHARES.c.uses_left - 1, use_count=SHARES.c.use_count + 1, last_used=now)
        )
        return self._connection.execute(change).rowcount == 1

    def touch(self, uses: Mapping[str, tuple[int, float]]) -> None:
        """Count uses of shares that have any number of them: how many more, and the last one's moment."""
        change = (
            sa.update(SHARES)
            .where(SHARES.c.id == sa.bindparam("of"))
            .values(use_count=SHARES.c.use_count + sa.bindparam("more"), last_used=sa.bindparam("at"))
        )
        rows = [{"of": share, "more": more, "at": at} for share, (more, at) in uses.items()]
        if rows:
            self._connection.execute(change, rows)

    def standing(self, owner: str, now: float) -> int:
        """How many of an owner's are not over."""
        query = sa.select(sa.func.count()).select_from(SHARES)
        query = query.where(SHARES.c.owner == owner, SHARES.c.revoked.is_(None))
        query = query.where(sa.or_(SHARES.c.expires.is_(None), SHARES.c.expires > now))
        return int(self._connection.execute(query).scalar_one())

    def prune(self, moment: float, most: int = 500) -> int:
        """Forget shares that ended before a moment; returns how many."""
        over = sa.or_(SHARES.c.expires < moment, SHARES.c.revoked < moment)
        old = sa.select(SHARES.c.id).where(over).limit(most).scalar_subquery()
        return self._connection.execute(sa.delete(SHARES).where(SHARES.c.id.in_(old))).rowcount

    def _one(self, query: sa.Select[Any], shown: object) -> ShareRecord | None:
        row = self._connection.execute(query, {"shown": shown}).mappings().first()
        return None if row is None else _record(row)


def _values(share: ShareRecord) -> dict[str, Any]:
    plain = {column.name: getattr(share, column.name) for column in SHARES.c if column.name not in _LISTS}
    lists = {
        "tunnels": json.dumps(share.tunnels),
        "services": json.dumps([dict(service) for service in share.services], sort_keys=True),
        "permissions": json.dumps(share.permissions),
    }
    return plain | lists


def _record(row: Mapping[Any, Any]) -> ShareRecord:
    lists = {name: tuple(json.loads(row[name])) for name in _LISTS}
    return ShareRecord(**{**row, **lists, "digest": bytes(row["digest"])})
