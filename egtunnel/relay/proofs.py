"""Custom hosts are proven by DNS: who controls the host's zone says there whose host it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.errors import Refused, StoreConflict, StoreError
from egtunnel.store.records import NameRecord
from egtunnel.store.store import Store

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["Lookup", "ProofLimits", "Proofs", "record_name", "record_text"]

DNS = "dns"
Lookup = Callable[[str], Deferred[list[str]]]
"""Gives the texts of the TXT records of a name; fails if there are none, or nobody answers."""


@attrs.frozen
class ProofLimits:
    """``after``: seconds after which an unproven claim is worth another try. ``pace``: seconds between two look-ups
    of the same host for the same owner. ``open``: look-ups at once. ``hosts``: proven for one owner.
    """

    after: float = 10.0
    pace: float = 5.0
    open: int = 20
    hosts: int = 100


def record_name(host: str) -> str:
    """Where the proof of a host stands in DNS."""
    return f"_egtunnel.{host}"


def record_text(owner: str) -> str:
    """What stands there; ``owner`` is an id."""
    return f"egtunnel-owner={owner}"


class Proofs:
    """Looks for proofs while the client waits to ask again; what is proven is written into the store.

    A proof holds until another owner claims the host and DNS names that one, and no longer the first.

    :param wall: the time of day, in seconds since 1970.
    """

    log = Logger()

    def __init__(
        self,
        store: Store,
        lookup: Lookup,
        clock: IReactorTime,
        wall: Callable[[], float],
        limits: ProofLimits | None = None,
    ) -> None:
        self.limits = limits or ProofLimits()
        self._store = store
        self._lookup = lookup
        self._clock = clock
        self._wall = wall
        self._open: set[tuple[str, str]] = set()
        self._asked: OrderedDict[tuple[str, str], float] = OrderedDict()

    def check(self, host: str, owner: str) -> None:
        """An owner wants a host that is not proven to be its own: begins to look, and raises Refused."""
        self._begin(host, owner)
        raise Refused(
            "host-unproven",
            f"{host} is not proven to be yours: set the TXT record {record_name(host)} to {record_text(owner)}",
            retry=True,
            after=self.limits.after,
        )

    def _begin(self, host: str, owner: str) -> None:
        key, now = (host, owner), self._clock.seconds()
        if key in self._open or len(self._open) >= self.limits.open:
            return
        if now - self._asked.pop(key, -self.limits.pace) < self.limits.pace:
            return
        self._asked[key] = now
        while len(self._asked) > 10 * self.limits.open:
            self._asked.popitem(last=False)
        self._open.add(key)
        found = self._lookup(record_name(host))
        found.addCallbacks(self._found, self._nothing, callbackArgs=key, errbackArgs=key)
        found.addErrback(self._failed).addBoth(self._over, key)

    def _found(self, texts: list[str], host: str, owner: str) -> Deferred[None] | None:
        if record_text(owner) not in texts:
            return None
        record = NameRecord("host", host, owner, DNS, self._wall())
        most = self.limits.hosts

        def keep(rows: Rows) -> bool:
            known = rows.names.find("host", host)
            if known is not None and (known.proven != DNS or record_text(known.owner) in texts):
                return False
            if rows.names.count(owner, "host", DNS) >= most:
                return False
            if known is not None:
                rows.names.release("host", host)
            rows.names.reserve(record)
            return True

        return self._store.write(keep).addCallback(self._kept, host, owner)

    def _kept(self, kept: bool, host: str, owner: str) -> None:
        if kept:
            self.log.info("{host} is proven to be of owner {owner}", host=host, owner=owner)

    def _nothing(self, reason: Failure, host: str, owner: str) -> None:
        self.log.debug("no proof of {host}: {reason}", host=host, reason=reason.getErrorMessage())

    def _failed(self, reason: Failure) -> None:
        reason.trap(StoreError, StoreConflict)

    def _over(self, result: object, key: tuple[str, str]) -> None:
        self._open.discard(key)
        if isinstance(result, Failure):
            self.log.failure("a proof could not be looked for", failure=result)
