"""Tokens: what clients show to be let in; of each only the hash of its secret is here."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from egtunnel.store.metadata import METADATA, Moment, rare
from egtunnel.store.owners import OWNERS
from egtunnel.store.records import TokenRecord

__all__ = ["TOKENS", "Tokens"]

TOKENS = sa.Table(
    "tokens",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("owner", sa.String(32), sa.ForeignKey(OWNERS.c.id), nullable=False, index=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("expires", Moment),
    sa.Column("revoked", Moment),
    rare("revoked"),
    sa.Column("last_used", Moment),
    sa.UniqueConstraint("owner", "name"),
)
_FIND = (
    sa.select(TOKENS, OWNERS.c.disabled)
    .join(OWNERS, OWNERS.c.id == TOKENS.c.owner)
    .where(TOKENS.c.id == sa.bindparam("token"))
)


class Tokens:
    """The table ``tokens``."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def create(self, *tokens: TokenRecord) -> None:
        """Add some. Raises StoreConflict if an id exists, the owner has a token of that name, or there is no owner."""
        self._connection.execute(sa.insert(TOKENS), [_values(token) for token in tokens])

    def find(self, token: str) -> TokenRecord | None:
        """By id, with its owner's ``disabled``."""
        row = self._connection.execute(_FIND, {"token": token}).mappings().first()
        return None if row is None else _record(row)

    def list(self, owner: str | None = None, after: str = "", most: int = 100) -> builtins.list[TokenRecord]:
        """Of one owner or of all, by id, from the one after ``after``."""
        query = sa.select(TOKENS).where(TOKENS.c.id > after).order_by(TOKENS.c.id).limit(most)
        if owner is not None:
            query = query.where(TOKENS.c.owner == owner)
        return [_record(row) for row in self._connection.execute(query).mappings()]

    def revoke(self, token: str, now: float) -> bool:
        """The token is good for nothing any more; False: there is none, or it was revoked before."""
        change = sa.update(TOKENS).where(TOKENS.c.id == token, TOKENS.c.revoked.is_(None)).values(revoked=now)
        return self._connection.execute(change).rowcount == 1

    def revoked_since(self, moment: float) -> builtins.list[str]:
        """Ids of tokens revoked at or after a moment, to be asked often; also those of owners disabled since.

        The moments were written by whichever relay revoked: ask for a minute more than has passed, clocks differ.
        """
        ended = sa.select(TOKENS.c.id).where(TOKENS.c.revoked >= moment)
        disabled = sa.select(TOKENS.c.id).join(OWNERS, OWNERS.c.id == TOKENS.c.owner).where(OWNERS.c.disabled >= moment)
        return [row.id for row in self._connection.execute(ended.union(disabled))]

    def touch(self, used: Mapping[str, float]) -> None:
        """Note when tokens, by id, were used last; many at once, since nobody waits for it."""
        change = sa.update(TOKENS).where(TOKENS.c.id == sa.bindparam("token")).values(last_used=sa.bindparam("at"))
        if used:  # in one order, so that two relays never wait for each other
            self._connection.execute(change, [{"token": token, "at": at} for token, at in sorted(used.items())])

    def count(self) -> int:
        """Tokens that are not revoked."""
        query = sa.select(sa.func.count()).select_from(TOKENS).where(TOKENS.c.revoked.is_(None))
        return int(self._connection.execute(query).scalar_one())


def _values(token: TokenRecord) -> dict[str, Any]:
    return {
        "id": token.id,
        "digest": token.digest,
        "owner": token.owner,
        "name": token.name,
        "scope": json.dumps(dict(token.scope), sort_keys=True),
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
        "last_used": token.last_used,
    }


def _record(row: Mapping[Any, Any]) -> TokenRecord:
    return TokenRecord(**{**row, "digest": bytes(row["digest"]), "scope": json.loads(row["scope"])})
