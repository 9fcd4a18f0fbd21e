"""Tokens that somebody else knows: an address is asked at each login (docs/howto/login-check.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.access.cache import Cache
from egtunnel.access.fetching import Fetcher, FetchError, FetchRefused
from egtunnel.access.scope import Scope
from egtunnel.errors import ConfigurationError, Refused
from egtunnel.store.records import TokenRecord

__all__ = ["CheckLimits", "ExternalCheck"]

FIELDS = ((b"Content-Type", b"application/json"),)
LONGEST_TOKEN, LONGEST_NAME = 4_096, 120
UNKNOWN = Refused("bad-token", "the relay does not know this token")


@attrs.frozen
class CheckLimits:
    """``fresh``: seconds for which an answer holds; ``stale``: and while nobody answers. ``tokens``: remembered.

    ``after``: seconds that others are asked to wait then.
    """

    fresh: float = 60.0
    stale: float = 3_600.0
    tokens: int = 10_000
    after: float = 5.0


class ExternalCheck:
    """Asks ``url`` by POST with ``{"token", "address"}``; the answer is ``{"owner", "scope", "expires_in"}``, or 4xx.

    :param seconds: of a clock that never jumps. ``wall``: the time of day, in seconds since 1970.
    """

    log = Logger()

    def __init__(
        self,
        fetcher: Fetcher,
        url: str,
        seconds: Callable[[], float],
        wall: Callable[[], float],
        limits: CheckLimits | None = None,
    ) -> None:
        self.limits = limits or CheckLimits()
        self._fetcher = fetcher
        self._url = url
        self._seconds = seconds
        self._wall = wall
        self._fresh: Cache[bytes, TokenRecord] = Cache(self.limits.tokens, self.limits.fresh)
        self._stale: Cache[bytes, TokenRecord] = Cache(self.limits.tokens, self.limits.stale)

    def login(self, token: str, address: str) -> Deferred[TokenRecord]:
        """What the token may do; fails with Refused. Only who was let in is remembered: strangers push nobody out."""
        if not 1 <= len(token) <= LONGEST_TOKEN:
            raise UNKNOWN
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._fresh.get(digest, self._seconds())
        if known is not None and (known.expires is None or self._wall() < known.expires):
            return succeed(known)
        body = json.dumps({"token": token, "address": address}).encode()
        asked = self._fetcher.ask(b"POST", self._url, FIELDS, body)
        return asked.addCallbacks(self._let_in, self._not_told, callbackArgs=(digest,), errbackArgs=(digest,))

    def _let_in(self, value: dict[str, Any], digest: bytes) -> TokenRecord:
        owner, lasts = value.get("owner"), value.get("expires_in")
        if not isinstance(owner, str) or not 1 <= len(owner) <= LONGEST_NAME:
            self._fault("it names no owner")
        if lasts is not None and (isinstance(lasts, bool) or not isinstance(lasts, int | float) or lasts <= 0):
            self._fault("expires_in is no number above 0")
        try:
            scope = Scope.from_json(value.get("scope", {}))
        except ConfigurationError as error:
            self._fault(error.text)
        name, now = digest.hex()[:12], self._wall()
        expires = None if lasts is None else now + lasts
        # Under an id that no token of the store and no owner there has.
        record = TokenRecord(f"x-{name}", digest, f"x-{owner}", name, scope.to_json(), now, expires)
        self._fresh.put(digest, record, self._seconds())
        self._stale.put(digest, record, self._seconds())
        return record

    def _not_told(self, reason: Failure, digest: bytes) -> TokenRecord:
        reason.trap(FetchError)
        if reason.check(FetchRefused):
            self._fresh.forget(digest)
            self._stale.forget(digest)
            raise UNKNOWN
        self.log.warn("the login check does not answer: {text}", text=str(reason.value))
        known = self._stale.get(digest, self._seconds())
        if known is None or (known.expires is not None and known.expires <= self._wall()):
            text = "the relay cannot look up this token at the moment: its login check does not answer"
            raise Refused("check-away", text, retry=True, after=self.limits.after)
        return known

    def _fault(self, text: str) -> None:
        self.log.error("the login check answers what cannot be: {text}", text=text)
        raise Refused("check-failed", "the relay's login check answers what the relay does not understand", retry=True)
