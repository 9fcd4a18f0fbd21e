"""Public keys of other issuers (JWKS, RFC 7517): fetched when they are wanted, and again when they are old."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jwt
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from egtunnel.access.fetching import Fetcher, FetchError
from egtunnel.access.limits import AccessLimits

__all__ = ["ALGORITHMS", "KeySet", "KeySets"]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones only: whoever knows a public key must not be able to sign with it as a secret."""
SETS = 1_000
"""Of different addresses, that are remembered."""


class KeySets:
    """One set for each address, however many tunnels use it."""

    def __init__(self, fetcher: Fetcher, now: Callable[[], float], limits: AccessLimits) -> None:
        self._fetcher = fetcher
        self._now = now
        self._limits = limits
        self._sets: OrderedDict[str, KeySet] = OrderedDict()

    def at(self, url: str) -> KeySet:
        """The keys at an address; nothing is fetched yet."""
        found = self._sets.pop(url, None) or KeySet(lambda: self._fetcher.get(url), self._now, self._limits)
        self._sets[url] = found
        if len(self._sets) > SETS:
            self._sets.popitem(last=False)
        return found


class KeySet:
    """Keys by their ids. Visitors may ask for ids that are not there as often as they like: it is fetched seldom."""

    def __init__(
        self, fetch: Callable[[], Deferred[dict[str, Any]]], now: Callable[[], float], limits: AccessLimits
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._limits = limits
        self._keys: dict[str, Any] = {}
        self._fetched = self._tried = float("-inf")
        self._waiting: list[Deferred[None]] | None = None

    def find(self, kid: str) -> Any | Deferred[Any]:
        """The key of this id (empty: the only one there is), or None; fails with FetchError if there are no keys."""
        now = self._now()
        if self._waiting is None:
            fresh = now - self._fetched < self._limits.keys_fresh and self._look(kid) is not None
            if not fresh and now - self._tried >= self._limits.keys_again:
                self._begin(now)
        if self._waiting is None or (self._look(kid) is not None and self._usable()):
            return self._known(kid)
        answer: Deferred[None] = Deferred()
        self._waiting.append(answer)
        return answer.addCallback(lambda _: self._known(kid))

    def _usable(self) -> bool:
        return self._now() - self._fetched < self._limits.keys_kept

    def _known(self, kid: str) -> Any:
        if not self._usable():
            raise FetchError("the keys of the tunnel's issuer cannot be fetched")
        return self._look(kid)

    def _look(self, kid: str) -> Any:
        if not kid and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _begin(self, now: float) -> None:
        self._tried = now
        self._waiting = []
        self._fetch().addCallbacks(self._take, self._away).addBoth(self._over)

    def _take(self, document: dict[str, Any]) -> None:
        listed = document.get("keys")
        if not isinstance(listed, list):
            return
        found: dict[str, Any] = {}
        for item in listed[:100]:
            try:
                key = jwt.PyJWK(item)
            except (jwt.PyJWTError, TypeError, ValueError, KeyError, AttributeError):
                continue  # of a kind that we do not know
            if key.algorithm_name in ALGORITHMS and item.get("use", "sig") == "sig":
                found[str(item.get("kid", ""))] = key
        self._keys, self._fetched = found, self._now()

    def _away(self, reason: Failure) -> None:
        reason.trap(FetchError)

    def _over(self, result: object) -> None:
        waiting, self._waiting = self._waiting or [], None
        for each in waiting:
            if not each.called:
                each.callback(None)
        if isinstance(result, Failure):
            result.raiseException()
