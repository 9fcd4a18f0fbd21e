"""What nobody waits for is written together: refusals, uses of tokens, usage; and old refusals are forgotten."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.errors import StoreError
from egtunnel.store.records import RefusalRecord, UsageRecord
from egtunnel.store.store import Store
from egtunnel.store.threads import Reactor

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["Batches"]

PRUNE_EVERY = 300
"""Writes between two looks for old refusals."""


class Batches:
    """Noting costs a line in memory; every ``interval`` all that was noted goes into one write.

    While the store is away it is kept, up to ``batch`` of each kind: of refusals the newest, of usage the sums of those
    tokens that were noted first. ``lost`` counts what was not. A write that was given up may have been done all
    the same: what it held is then counted twice.

    :param wall: the time of day, in seconds since 1970.
    """

    log = Logger()

    def __init__(self, store: Store, reactor: Reactor, wall: Callable[[], float]) -> None:
        self._store = store
        self._reactor = reactor
        self._wall = wall
        self._most = store.limits.batch
        self._refusals: deque[RefusalRecord] = deque(maxlen=self._most)
        self._uses: dict[str, float] = {}
        self._usage: dict[tuple[str, str], UsageRecord] = {}
        self._call: IDelayedCall | None = None
        self._writing: Deferred[None] | None = None
        self._turns = 0
        self.lost = 0

    def refused(self, refusal: RefusalRecord) -> None:
        """Note a refusal."""
        self.lost += len(self._refusals) == self._most
        self._refusals.append(refusal)
        self._later()

    def used(self, token: str, at: float) -> None:
        """Note that a token was used."""
        if token in self._uses or len(self._uses) < self._most:
            self._uses[token] = max(at, self._uses.get(token, at))
            self._later()

    def passed(self, more: UsageRecord) -> None:
        """Note what went through a token's tunnels; to be called now and then with sums, not for each request."""
        key = (more.token, more.month)
        known = self._usage.get(key, UsageRecord(*key))
        if key not in self._usage and len(self._usage) >= self._most:
            self.lost += 1
            return
        sums = (known.requests + more.requests, known.received + more.received, known.sent + more.sent)
        self._usage[key] = UsageRecord(*key, *sums)
        self._later()

    def close(self) -> Deferred[None]:
        """Write what is left, once; before the store is closed."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._writing is not None:
            waiting: Deferred[None] = Deferred()
            self._writing.chainDeferred(waiting)
            return waiting.addCallback(lambda _: self.close())
        if not (self._refusals or self._uses or self._usage):
            return succeed(None)
        return self._write()

    def _later(self) -> None:
        if self._call is None and self._writing is None:
            self._call = self._reactor.callLater(self._store.limits.interval, self._write)

    def _write(self) -> Deferred[None]:
        self._call = None
        limits, now, prune = self._store.limits, self._wall(), self._turns % PRUNE_EVERY == 0
        refusals, self._refusals = self._refusals, deque(maxlen=self._most)
        uses, self._uses = self._uses, {}
        usage, self._usage = self._usage, {}

        def work(rows: Rows) -> None:
            rows.audit.add(refusals)
            rows.tokens.touch(uses)
            rows.usage.add(usage.values())
            if prune:
                rows.audit.prune(now - limits.audit_age, limits.audit)

        def failed(reason: Failure) -> bool:
            if not reason.check(StoreError):
                self.log.failure("what was noted could not be written, and is lost", failure=reason)
                return False
            self._take_back(refusals, uses, usage)
            return True

        done: Deferred[None] = Deferred()
        self._writing = done
        self._store.write(work).addCallbacks(lambda _: False, failed).addCallback(self._written, done)
        return done

    def _take_back(
        self, refusals: deque[RefusalRecord], uses: dict[str, float], usage: dict[tuple[str, str], UsageRecord]
    ) -> None:
        newer, self._refusals = self._refusals, refusals
        for refusal in newer:
            self.refused(refusal)
        for token, at in uses.items():
            self.used(token, at)
        for record in usage.values():
            self.passed(record)

    def _written(self, again: bool, done: Deferred[None]) -> None:
        self._writing = None
        self._turns += not again
        if again or self._refusals or self._uses or self._usage:
            self._later()
        done.callback(None)
