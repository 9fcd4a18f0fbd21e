"""Rows of the store as JSON for people and programs: no secrets, moments as ISO 8601 in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from egtunnel.store.records import NameRecord, OwnerRecord, RefusalRecord, ShareRecord, TokenRecord, UsageRecord

__all__ = ["moment", "name", "owner", "refusal", "share", "token", "usage"]


def moment(seconds: float | None) -> str | None:
    """As ISO 8601, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def owner(record: OwnerRecord) -> dict[str, Any]:
    """An owner."""
    return {
        "id": record.id,
        "name": record.name,
        "created": moment(record.created),
        "disabled": moment(record.disabled),
    }


def token(record: TokenRecord, whose: OwnerRecord, now: float) -> dict[str, Any]:
    """A token without its secret. ``state``: good, revoked, disabled or expired."""
    over = record.expires is not None and record.expires <= now
    state = "revoked" if record.revoked is not None else "disabled" if whose.disabled is not None else "good"
    return {
        "id": record.id,
        "name": record.name,
        "owner": whose.name,
        "state": "expired" if over and state == "good" else state,
        "scope": dict(record.scope),
        "created": moment(record.created),
        "expires": moment(record.expires),
        "last_used": moment(record.last_used),
    }


def share(record: ShareRecord, whose: OwnerRecord, now: float) -> dict[str, Any]:
    """A share without its link. ``state``: good, revoked or expired."""
    over = record.expires is not None and record.expires <= now
    return {
        "id": record.id,
        "owner": whose.name,
        "state": "revoked" if record.revoked is not None else "expired" if over else "good",
        "tunnels": list(record.tunnels),
        "services": [dict(service) for service in record.services],
        "permissions": list(record.permissions),
        "created": moment(record.created),
        "expires": moment(record.expires),
        "uses_left": record.uses_left,
        "use_count": record.use_count,
        "last_used": moment(record.last_used),
        "passphrase": bool(record.passphrase),
        "note": record.note,
    }


def name(record: NameRecord, whose: OwnerRecord) -> dict[str, Any]:
    """A reserved place."""
    return {
        "kind": record.kind,
        "value": record.value,
        "owner": whose.name,
        "proven": record.proven,
        "created": moment(record.created),
    }


def usage(record: UsageRecord) -> dict[str, Any]:
    """What went through a token's tunnels in a month."""
    return {
        "token": record.token,
        "month": record.month,
        "requests": record.requests,
        "received": record.received,
        "sent": record.sent,
    }


def refusal(record: RefusalRecord) -> dict[str, Any]:
    """A row of the audit log."""
    return {"id": record.id, "at": moment(record.at), "rule": record.rule, "whom": record.whom, "what": record.what}
