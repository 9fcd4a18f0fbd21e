"""What belongs to owners for good: names, custom hosts and ports that the store reserves, also with no client there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.access.scope import Scope
from egtunnel.errors import Refused, StoreError
from egtunnel.relay.proofs import Lookup, Proofs
from egtunnel.relay.reservations import Place
from egtunnel.store.store import Store

__all__ = ["ADMIN", "HoldingLimits", "Holdings", "Title", "holdings_of"]

ADMIN = "admin"
"""The owner, by name, to whom the relay's own token belongs."""
KINDS = {"name": "name", "host": "host", "tcp": "port"}
"""The kinds of the store by those of places."""


@attrs.frozen
class HoldingLimits:
    """``interval``: seconds between two looks for what changed. ``places``: reserved for all owners together."""

    interval: float = 1.0
    places: int = 100_000


class Holdings:
    """A mirror of the reserved places, so that a claim is answered at once and also while the store is away.

    Without a store nothing is reserved, and custom hosts belong to whoever claims them first.

    :param proofs: proves that a custom host is an owner's; None: nobody does.
    """

    log = Logger()

    def __init__(
        self,
        store: Store | None = None,
        clock: IReactorTime | None = None,
        proofs: Proofs | None = None,
        limits: HoldingLimits | None = None,
    ) -> None:
        self.limits = limits or HoldingLimits()
        self.proofs = proofs
        self._store = store
        self._clock = clock
        self._holders: dict[Place, tuple[str, str]] = {}
        self._stamp: tuple[int, float] | None = None
        self._call: IDelayedCall | None = None
        self._running = False

    def start(self) -> Deferred[None]:
        """Look now, and from now on; fires when it has been looked for the first time."""
        if self._store is None:
            return succeed(None)
        self._running = True
        return self._look()

    def stop(self) -> None:
        """Look no more."""
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def holder(self, place: Place) -> tuple[str, str] | None:
        """Id and name of the owner to whom a place is reserved; None: to nobody."""
        return self._holders.get(place)

    def title(self, holder: str, scope: Scope | None) -> Title:
        """What the holder of a token, by id, has a right to; empty: the token is the relay's own."""
        return Title(self, holder, scope)

    # -- the mirror

    def _look(self) -> Deferred[None]:
        self._call = None
        store, stamp, most = self._store, self._stamp, self.limits.places
        if store is None:
            raise StoreError
        looked = store.read(
            lambda rows: (now := rows.names.stamp(), None if now == stamp else rows.names.holders(most))
        )
        return looked.addCallbacks(self._seen, self._away).addErrback(self._broken).addCallback(self._again)

    def _seen(self, found: tuple[tuple[int, float], list[tuple[str, str, str, str]] | None]) -> None:
        self._stamp, rows = found
        if rows is not None:
            self._holders = {Place(KINDS[row[0]], row[1]): (row[2], row[3]) for row in rows if row[0] in KINDS}

    def _away(self, reason: Failure) -> None:
        reason.trap(StoreError)

    def _broken(self, reason: Failure) -> None:
        self.log.failure("what is reserved could not be read", failure=reason)

    def _again(self, _: object) -> None:
        if self._running and self._clock is not None:
            self._call = self._clock.callLater(self.limits.interval, self._look)


def holdings_of(
    store: Store | None, reactor: Any, wall: Callable[[], float], resolver: tuple[str, int] | None
) -> Holdings:
    """What a relay's store reserves; custom hosts are proven by the name server ``resolver``."""
    if store is None:
        return Holdings()
    return Holdings(store, reactor, Proofs(store, _asked(reactor, resolver), reactor, wall))


def _asked(reactor: Any, resolver: tuple[str, int] | None) -> Lookup:
    """DNS is loaded, and the machine's resolv.conf read, when a proof is wanted for the first time."""
    look: list[Lookup] = []

    def asked(name: str) -> Deferred[list[str]]:
        from egtunnel.relay.dns_texts import texts_of  # noqa: PLC0415

        if not look:
            look.append(texts_of(reactor, resolver))
        return look[0](name)

    return asked


class Title:
    """What one client has a right to, by whose token it has."""

    __slots__ = ("_holder", "_holdings", "_scope")

    def __init__(self, holdings: Holdings | None = None, holder: str = "", scope: Scope | None = None) -> None:
        self._holdings = holdings
        self._holder = holder
        self._scope = scope

    @property
    def holder(self) -> str:
        """Whose token the client has, by id; empty: the relay's own."""
        return self._holder

    def anothers(self, place: Place) -> bool:
        """Whether the place is reserved for somebody else."""
        known = None if self._holdings is None else self._holdings.holder(place)
        return known is not None and not self._is(known)

    def check(self, place: Place) -> None:
        """Whether a client may ask for the place. Raises Refused.

        A custom host needs more than that nobody has it: the admin's word in the token's scope, or a proof.
        """
        holdings = self._holdings
        if holdings is None:
            return
        known = holdings.holder(place)
        if known is not None and self._is(known):
            return
        if place.kind == "host" and self._holder and holdings.proofs is not None and not self._granted():
            holdings.proofs.check(place.value, self._holder)
        if known is not None:
            raise Refused("name-owned", f"the {_WORDS[place.kind]} {place.value[:80]} is reserved for its owner")

    def _is(self, known: tuple[str, str]) -> bool:
        return known[0] == self._holder if self._holder else known[1] == ADMIN

    def _granted(self) -> bool:
        return self._scope is not None and self._scope.hosts is not None


_WORDS: dict[str, str] = {"name": "name", "host": "host", "port": "TCP port"}
