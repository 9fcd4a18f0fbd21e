"""All tables over one connection: what a piece of work for the store is given."""

from __future__ import annotations

import sqlalchemy as sa

from egtunnel.store.audit import Audit
from egtunnel.store.names import Names
from egtunnel.store.owners import Owners
from egtunnel.store.shares import Shares
from egtunnel.store.tokens import Tokens
from egtunnel.store.usage import Usage

__all__ = ["Rows"]


class Rows:
    """The tables, for the length of one call; in a write, all of it is done or nothing."""

    __slots__ = ("audit", "names", "owners", "shares", "tokens", "usage")

    def __init__(self, connection: sa.Connection) -> None:
        self.owners = Owners(connection)
        self.tokens = Tokens(connection)
        self.names = Names(connection)
        self.shares = Shares(connection)
        self.usage = Usage(connection)
        self.audit = Audit(connection)
