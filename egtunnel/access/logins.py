"""Who may log in: asked of the store, and while that is away answered from the tokens that were seen before."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from egtunnel.access.cache import Cache, CacheLimits
from egtunnel.access.tokens import check, split
from egtunnel.errors import Refused, StoreError
from egtunnel.store.records import TokenRecord

__all__ = ["Logins"]


class Logins:
    """``find`` asks the store for a token by its id.

    :param seconds: of a clock that never jumps, for the age of what is remembered.
    :param wall: the time of day, in seconds since 1970, for the moments in records.
    """

    def __init__(
        self,
        find: Callable[[str], Deferred[TokenRecord | None]],
        seconds: Callable[[], float],
        wall: Callable[[], float],
        limits: CacheLimits | None = None,
    ) -> None:
        self.limits = limits or CacheLimits()
        self._find = find
        self._seconds = seconds
        self._wall = wall
        self._seen: Cache[str, TokenRecord] = Cache(self.limits.tokens, self.limits.age)
        self._used: dict[str, float] = {}

    def login(self, token: str) -> Deferred[TokenRecord]:
        """The token's record; fails with Refused. What has not the shape of a token never gets to the store."""
        parts = split(token)
        if parts is None:
            return fail(Refused("bad-token", "the relay does not know this token"))
        name, digest = parts
        found = self._find(name)
        found.addCallbacks(self._found, self._away, callbackArgs=(name,), errbackArgs=(name, digest))
        return found.addCallback(self._checked, digest)

    def revoked(self, token: str) -> None:
        """A token, by id, is good for nothing any more: also if the store goes away now."""
        record = self._seen.get(token, self._seconds())
        if record is not None:
            self._seen.put(token, attrs.evolve(record, revoked=record.revoked or self._wall()), self._seconds())

    def take_used(self) -> dict[str, float]:
        """Id to moment of each token used since the last call, for ``tokens.touch``."""
        used, self._used = self._used, {}
        return used

    def _found(self, record: TokenRecord | None, name: str) -> TokenRecord | None:
        if record is None:
            self._seen.forget(name)
        return record

    def _away(self, reason: Failure, name: str, digest: bytes) -> TokenRecord:
        reason.trap(StoreError)
        record = self._seen.get(name, self._seconds())
        if record is None:
            raise Refused(
                "store-away",
                "the relay cannot look up this token at the moment: its store is away",
                retry=True,
                after=self.limits.after,
            )
        return record

    def _checked(self, record: TokenRecord | None, digest: bytes) -> TokenRecord:
        good = check(record, digest, self._wall())
        # Only who knew the secret gets a place here: strangers cannot push others out.
        if good is not self._seen.get(good.id, self._seconds()):
            self._seen.put(good.id, good, self._seconds())
        if len(self._used) < self.limits.tokens:
            self._used[good.id] = self._wall()
        return good
