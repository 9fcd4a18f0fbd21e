"""Shares of the relay's store at work in one process: looked up, revoked, counted, and made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.access.hashing import Hashing, in_threads
from egtunnel.access.keys import cookie_key
from egtunnel.access.oidc.sealed import Seal
from egtunnel.access.revocations import Revocations
from egtunnel.access.tokens import new_id
from egtunnel.errors import ConfigurationError, Refused, StoreError
from egtunnel.guard import AccessError
from egtunnel.interfaces import ITunnel, ITunnels
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.holdings import ADMIN
from egtunnel.relay.settings import RelaySettings
from egtunnel.sharing.book import Book
from egtunnel.sharing.links import Links
from egtunnel.sharing.making import NewShare, Wish, create_share
from egtunnel.sharing.private import Keys
from egtunnel.store.records import OwnerRecord, ShareRecord
from egtunnel.store.store import Store

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["Shares", "Sharing", "link_of", "owner_of_admin"]


class Shares:
    """The rows of shares, for visitors; uses that nobody waits for are written together."""

    log = Logger()

    def __init__(self, store: Store, clock: Any, ready: Callable[[], Deferred[None]]) -> None:
        self._store = store
        self._ready = ready
        self._clock = clock
        self._uses: dict[str, tuple[int, float]] = {}
        self._call: IDelayedCall | None = None

    def find(self, digest: bytes) -> Deferred[ShareRecord | None]:
        """By what is kept of a link."""
        return self._read(lambda rows: _owned(rows, rows.shares.find(digest)))

    def get(self, share: str) -> Deferred[ShareRecord | None]:
        """By id."""
        return self._read(lambda rows: _owned(rows, rows.shares.get(share)))

    def _read(self, work: Callable[[Rows], ShareRecord | None]) -> Deferred[ShareRecord | None]:
        return self._ready().addCallback(lambda _: self._store.read(work))

    def use(self, share: str, now: float) -> Deferred[bool]:
        """Take one of those that are left; False: there is none."""
        return self._store.write(lambda rows: rows.shares.use(share, now))

    def used(self, share: str, now: float) -> None:
        """Note one; while the store is away, for as many shares as it takes refusals."""
        count, _ = self._uses.get(share, (0, now))
        if count or len(self._uses) < self._store.limits.batch:
            self._uses[share] = count + 1, now
        if self._call is None:
            self._call = self._clock.callLater(self._store.limits.interval, self.write)

    def write(self) -> Deferred[None]:
        """Have all that was noted written."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        uses, self._uses = self._uses, {}
        if not uses:
            return succeed(None)
        return self._store.write(lambda rows: rows.shares.touch(uses)).addErrback(self._not_written, uses)

    def _not_written(self, reason: Failure, uses: Mapping[str, tuple[int, float]]) -> None:
        if not reason.check(StoreError):
            self.log.failure("uses of shares could not be written, and are lost", failure=reason)
            return
        for share, (count, at) in uses.items():
            more, last = self._uses.get(share, (0, at))
            self._uses[share] = count + more, max(at, last)
        if self._call is None:
            self._call = self._clock.callLater(self._store.limits.interval, self.write)


class Sharing:
    """Everything about shares in one process.

    :param tell: is told of uses: what happened, and the share's id.
    :param ready: fires when the store can be asked.
    :ivar book: None: there is no store, and so no shares.
    """

    def __init__(
        self,
        store: Store | None,
        reactor: Any,
        settings: RelaySettings,
        wall: Callable[[], float] = time.time,
        tell: Callable[[str, str], None] = lambda what, share: None,
        ready: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        self._store = store
        self._reactor = reactor
        self._settings = settings
        self._wall = wall
        self._shares = None if store is None else Shares(store, reactor, ready)
        limits = settings.limits.sharing
        self.book = None if self._shares is None else Book(self._shares, reactor, wall, limits, tell)
        self.keys: Callable[[], Keys] = cache(partial(_keys, settings))
        self._revocations = Revocations(self._revoked_since, self._revoked, reactor, wall)

    def start(self) -> None:
        """Look for what was revoked or has expired, from now on."""
        if self.book is not None:
            self.book.start()
            self._revocations.start()

    def stop(self) -> Deferred[None]:
        """Look no more, and write what was noted."""
        if self.book is None or self._shares is None:
            return succeed(None)
        self.book.stop()
        self._revocations.stop()
        return self._shares.write()

    def links(self, tunnels: ITunnels) -> Links | None:
        """What serves links to these tunnels; None: there are no shares."""
        if self.book is None:
            return None
        hashing = Hashing(in_threads(self._reactor), self._settings.limits.access)
        addresses = self._settings.addresses
        return Links(
            self.book,
            self.keys,
            hashing,
            self._reactor.seconds,
            partial(_find, tunnels, addresses.domain),
            addresses.host_url,
        )

    def create(self, wish: Wish, owner: str) -> Deferred[NewShare]:
        """A new share of an owner by id (empty: the admin); fails with Refused or StoreError."""
        if self._store is None:
            raise StoreError("this relay has no store, so it has no shares")
        now, limits = self._wall(), self._settings.limits.sharing

        def create(rows: Rows) -> NewShare:
            rows.shares.prune(now - limits.kept)
            holder = owner or owner_of_admin(rows, now)
            if rows.owners.find(holder) is None:  # of a login check, which the store does not know
                rows.owners.create(OwnerRecord(holder, holder, now))
            if rows.shares.standing(holder, now) >= limits.of_owner:
                raise Refused("too-many-shares", f"one owner may have {limits.of_owner} shares that stand")
            made = create_share(wish, holder, now)
            rows.shares.create(made.record)
            return made

        return self._store.write(create)

    def link(self, token: str) -> str:
        """The whole link of a share."""
        return link_of(self._settings.addresses, token)

    def _revoked_since(self, moment: float) -> Deferred[list[str]]:
        if self._store is None:
            raise StoreError
        return self._store.read(lambda rows: rows.shares.revoked_since(moment))

    def _revoked(self, share: str) -> None:
        if self.book is not None:
            self.book.end(share)


def link_of(addresses: Addresses, token: str) -> str:
    """The whole link of a share."""
    return f"{addresses.host_url(addresses.domain)}/share/{token}/"


def owner_of_admin(rows: Rows, now: float) -> str:
    """The id of the owner to whom the relay's own token belongs, who is made if there is none."""
    owner = rows.owners.named(ADMIN)
    if owner is None:
        owner = OwnerRecord(new_id(), ADMIN, now)
        rows.owners.create(owner)
    return owner.id


def _owned(rows: Rows, record: ShareRecord | None) -> ShareRecord | None:
    owner = None if record is None else rows.owners.find(record.owner)
    if record is None or owner is None:
        return record
    revoked = record.revoked if owner.disabled is None else (record.revoked or owner.disabled)
    return attrs.evolve(record, owner="" if owner.name == ADMIN else owner.id, revoked=revoked)


def _find(tunnels: ITunnels, domain: str, host: str) -> ITunnel | None:
    if host.endswith("." + domain):
        found = tunnels.by_name(host[: -len(domain) - 1])
        if found is not None:
            return found
    return tunnels.by_host(host)


def _keys(settings: RelaySettings) -> Keys:
    """The same for all processes of a relay, and after its restart."""
    try:
        key = cookie_key(settings.state)
    except ConfigurationError as error:
        raise AccessError(f"private: {error.text}") from None
    return Keys(key, Seal(key))
