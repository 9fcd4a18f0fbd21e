"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Owners, tokens, names, shares, usage, audit. Written out: what a revision makes never changes again."""
    op.create_table(
        "owners",
        sa.Column("id", sa.String(32)),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("disabled", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_owners"),
        sa.UniqueConstraint("name", name="uq_owners_name"),
    )
    _rare("owners", "disabled")
    _tokens()
    _names()
    _shares()
    op.create_table(
        "usage",
        sa.Column("token", sa.String(32)),
        sa.Column("month", sa.String(7)),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("token", "month", name="pk_usage"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("whom", sa.String(128), nullable=False),
        sa.Column("what", sa.String(512), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])


def _rare(table: str, column: str) -> None:
    there = sa.text(f"{column} IS NOT NULL")
    op.create_index(f"ix_{table}_{column}", table, [column], postgresql_where=there, sqlite_where=there)


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(32)),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("revoked", sa.Double),
        sa.Column("last_used", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("owner", "name", name="uq_tokens_owner"),
        sa.ForeignKeyConstraint(["owner"], ["owners.id"], name="fk_tokens_owner"),
    )
    op.create_index("ix_tokens_owner", "tokens", ["owner"])
    _rare("tokens", "revoked")


def _names() -> None:
    op.create_table(
        "names",
        sa.Column("kind", sa.String(8)),
        sa.Column("value", sa.String(255)),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("proven", sa.String(16), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", name="pk_names"),
        sa.ForeignKeyConstraint(["owner"], ["owners.id"], name="fk_names_owner"),
    )
    op.create_index("ix_names_owner", "names", ["owner"])


def _shares() -> None:
    op.create_table(
        "shares",
        sa.Column("id", sa.String(32)),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("tunnels", sa.Text, nullable=False),
        sa.Column("services", sa.Text, nullable=False),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("uses_left", sa.BigInteger),
        sa.Column("passphrase", sa.String(256), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("revoked", sa.Double),
        sa.Column("last_used", sa.Double),
        sa.Column("use_count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shares"),
        sa.UniqueConstraint("digest", name="uq_shares_digest"),
        sa.ForeignKeyConstraint(["owner"], ["owners.id"], name="fk_shares_owner"),
    )
    _rare("shares", "revoked")
    for column in ("owner", "expires"):
        op.create_index(f"ix_shares_{column}", "shares", [column])
