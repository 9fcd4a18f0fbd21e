"""What the API acts on: the store, and the relay as it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred

from egtunnel.admin.events import Events
from egtunnel.admin.limits import ApiLimits
from egtunnel.admin.problems import Problem
from egtunnel.store.records import OwnerRecord
from egtunnel.store.store import Store

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["Desk", "ILive"]

T = TypeVar("T")


class ILive(Protocol):
    """The relay as it runs; values are JSON."""

    def status(self) -> dict[str, Any]:
        """The relay in a few numbers."""

    def tunnels(self) -> list[dict[str, Any]]:
        """All tunnels that stand."""

    def clients(self) -> list[dict[str, Any]]:
        """All clients that are there."""

    def disconnect(self, session: str) -> bool:
        """End a client's session; False: there is none of this id."""

    def check_place(self, kind: str, value: str) -> str:
        """A name, host or port in the one form in which it is compared. Raises Refused."""

    def link(self, token: str) -> str:
        """The whole link of a share."""


@attrs.frozen
class Desk:
    """``store``: None: there is none. ``wall``: the time of day, in seconds since 1970."""

    store: Store | None
    live: ILive
    events: Events
    limits: ApiLimits
    wall: Callable[[], float]

    def read(self, work: Callable[[Rows], T]) -> Deferred[T]:
        """Ask the store. Raises Problem."""
        return self._store().read(work)

    def write(self, work: Callable[[Rows], T]) -> Deferred[T]:
        """Change the store. Raises Problem."""
        return self._store().write(work)

    def _store(self) -> Store:
        if self.store is None:
            raise Problem(409, "no-store", "this relay has no store: start it with --store")
        return self.store


def owners_of(rows: Rows, ids: set[str]) -> dict[str, OwnerRecord]:
    """Those owners by id."""
    return {id: owner for id in ids if (owner := rows.owners.find(id)) is not None}
