"""The store of a relay under test, written by the test itself: owners and tokens."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from egtunnel.access.tokens import new_id, new_token
from egtunnel.store.address import parse_store_address
from egtunnel.store.database import Database
from egtunnel.store.limits import StoreLimits
from egtunnel.store.records import OwnerRecord, RefusalRecord, TokenRecord

__all__ = ["TokenStore", "state_folder"]


def state_folder(home: Path) -> Path:
    """Where a relay with this home keeps its state."""
    return home / "state" / "egtunnel" / "relay"


class TokenStore:
    """One owner and its tokens.

    :param address: as in ``--store``; empty: the file in the state folder of a relay with this ``home``.
    """

    def __init__(self, home: Path, address: str = "") -> None:
        folder = state_folder(home)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home = home
        self.database = Database(parse_store_address(address, folder), StoreLimits())
        self.database.prepare()
        self.owner = new_id()
        self.database.write(lambda rows: rows.owners.create(OwnerRecord(self.owner, self.owner, time.time())))

    def token(self, expires: float | None = None, **scope: Any) -> tuple[str, dict[str, str]]:
        """A new token's id, and the variables with which a client shows it."""
        made = new_token()
        record = TokenRecord(made.id, made.digest, self.owner, made.id, scope, time.time(), expires)
        self.database.write(lambda rows: rows.tokens.create(record))
        return made.id, {"EGTUNNEL_TOKEN": made.text}

    def revoke(self, token: str) -> None:
        """The token is good for nothing any more."""
        assert self.database.write(lambda rows: rows.tokens.revoke(token, time.time()))

    def refusals(self) -> list[RefusalRecord]:
        """The audit log, newest first."""
        return self.database.read(lambda rows: rows.audit.list())

    def close(self) -> None:
        """Close its connections."""
        self.database.close()
