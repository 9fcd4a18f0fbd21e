"""The shares that visitors use, as this process knows them: looked up, remembered, ended, and their uses counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.access.cache import Cache
from egtunnel.access.shares import Share
from egtunnel.errors import ConfigurationError, Revoked, StoreError
from egtunnel.guard import Leash
from egtunnel.sharing.limits import SharingLimits
from egtunnel.sharing.making import digest_of_link
from egtunnel.store.records import ShareRecord

__all__ = ["Book", "Entry", "IShares"]


class IShares(Protocol):
    """The rows of shares; the ``owner`` of the admin's is empty, and those of a disabled owner are revoked."""

    def find(self, digest: bytes) -> Deferred[ShareRecord | None]:
        """By what is kept of a link."""

    def get(self, share: str) -> Deferred[ShareRecord | None]:
        """By id."""

    def use(self, share: str, now: float) -> Deferred[bool]:
        """Take one of those that are left; False: there is none."""

    def used(self, share: str, now: float) -> None:
        """Note one; nobody waits for it."""


@attrs.define(eq=False)
class Entry:
    """A share in use. ``leash`` holds everything that came in by it; ``passphrase``: what is kept of it, or empty.

    ``owner``: whose it is, by id; empty: the admin's.
    """

    share: Share
    owner: str
    passphrase: str = attrs.field(repr=False)
    leash: Leash = attrs.field(factory=Leash)
    read: float = 0.0


class Book:
    """Shares by link and by id.

    :param wall: the time of day, in seconds since 1970.
    :param tell: is told of each use: what happened, and the share's id.
    """

    log = Logger()

    def __init__(
        self,
        shares: IShares,
        clock: IReactorTime,
        wall: Callable[[], float],
        limits: SharingLimits | None = None,
        tell: Callable[[str, str], None] = lambda what, share: None,
    ) -> None:
        self.limits = limits or SharingLimits()
        self.wall = wall
        self.tell = tell
        self._shares = shares
        self._clock = clock
        self._by_id: Cache[str, Entry] = Cache(self.limits.known, self.limits.stale)
        self._ids: Cache[bytes, str] = Cache(self.limits.known, self.limits.stale)
        self._live: dict[str, Entry] = {}
        self._call: IDelayedCall | None = None
        self._running = False

    def start(self) -> None:
        """Look for what expires, from now on."""
        self._running = True
        self._sweep()

    def stop(self) -> None:
        """Look no more."""
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None

    # -- looking up

    def by_link(self, token: str) -> Deferred[Entry | None]:
        """The share of a link; fails with StoreError where it is not known and cannot be looked up."""
        digest = digest_of_link(token)
        known = self._ids.get(digest, self._clock.seconds())
        entry = None if known is None else self._by_id.get(known, self._clock.seconds())
        return self._fresh(entry, lambda: self._shares.find(digest), digest)

    def by_id(self, share: str) -> Deferred[Entry | None]:
        """The share of an id, likewise."""
        entry = self._by_id.get(share, self._clock.seconds())
        return self._fresh(entry, lambda: self._shares.get(share), None)

    def known(self, share: str) -> Entry | None:
        """The share of an id, if nobody has to be asked."""
        entry = self._by_id.get(share, self._clock.seconds())
        return entry if entry is not None and self._is_fresh(entry) else None

    def _is_fresh(self, entry: Entry) -> bool:
        return self._clock.seconds() - entry.read < self.limits.fresh

    def _fresh(
        self, entry: Entry | None, look: Callable[[], Deferred[ShareRecord | None]], digest: bytes | None
    ) -> Deferred[Entry | None]:
        if entry is not None and self._is_fresh(entry):
            return succeed(entry)
        return look().addCallbacks(self._found, self._away, callbackArgs=(entry, digest), errbackArgs=(entry,))

    def _found(self, record: ShareRecord | None, entry: Entry | None, digest: bytes | None) -> Entry | None:
        now = self._clock.seconds()
        if record is None:
            if entry is not None:
                self.end(entry.share.id)
            return None
        try:
            share = Share.from_record(record)
        except ConfigurationError as error:
            self.log.error("the share {id} cannot be read: {text}", id=record.id, text=error.text)
            return None
        # Two visitors may have asked at the same time: what one of them holds is held by the same leash.
        entry = (
            entry
            or self._by_id.get(record.id, now)
            or self._live.get(record.id)
            or Entry(share, record.owner, record.passphrase)
        )
        if entry.share.revoked is None:
            entry.share = share
        entry.read = now
        self._by_id.put(record.id, entry, now)
        if digest is not None:
            self._ids.put(digest, record.id, now)
        return entry

    def _away(self, reason: Failure, entry: Entry | None) -> Entry | None:
        reason.trap(StoreError)
        if entry is None:
            reason.raiseException()
        return entry

    # -- uses

    def use(self, entry: Entry) -> Deferred[bool]:
        """One more visitor comes by the link; False: no use is left."""
        share, now = entry.share, self.wall()
        if share.uses_left is None:
            self._shares.used(share.id, now)
            self._told(True, entry)
            return succeed(True)
        return self._shares.use(share.id, now).addCallback(self._told, entry)

    def _told(self, taken: bool, entry: Entry) -> bool:
        left = entry.share.uses_left
        if left is not None:
            entry.share = attrs.evolve(entry.share, uses_left=max(0, left - 1) if taken else 0)
        if taken:
            self.tell("share-used", entry.share.id)
        return taken

    def hold(self, entry: Entry) -> Leash:
        """What is to hold a visitor who comes in."""
        self._live[entry.share.id] = entry
        return entry.leash

    # -- the end

    def end(self, share: str) -> None:
        """It was revoked: who is in by it is cut off."""
        entry = self._by_id.get(share, self._clock.seconds()) or self._live.get(share)
        if entry is not None:
            entry.share = attrs.evolve(entry.share, revoked=entry.share.revoked or self.wall())
            self._cut(entry)

    def _cut(self, entry: Entry) -> None:
        self._live.pop(entry.share.id, None)
        entry.leash.cut(Revoked("the share is over"))

    def _sweep(self) -> None:
        now = self.wall()
        for entry in list(self._live.values()):
            if entry.share.ended(now):
                self._cut(entry)
            elif not entry.leash and not self._is_fresh(entry):
                del self._live[entry.share.id]
        if self._running:
            self._call = self._clock.callLater(self.limits.sweep, self._sweep)
