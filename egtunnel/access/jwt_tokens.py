"""The rule ``jwt``: a bearer token that another issuer has signed (RFC 7519, RFC 8725)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import jwt
from twisted.internet.defer import Deferred
from zope.interface import implementer

from egtunnel.access.api_keys import bearer
from egtunnel.access.cache import Cache
from egtunnel.access.fetching import FetchError, check_url
from egtunnel.access.key_sets import ALGORITHMS, KeySet, KeySets
from egtunnel.access.limits import AccessLimits
from egtunnel.access.values import members
from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor

__all__ = ["TokenRule", "jwt_tokens"]

WANTED = Denial(
    401, "token-wanted", "This tunnel wants a bearer token of its issuer.", ((b"WWW-Authenticate", b"Bearer"),)
)
WRONG = Denial(
    401,
    "token-refused",
    "The bearer token is not good here, or no longer.",
    ((b"WWW-Authenticate", b'Bearer error="invalid_token"'),),
)
AWAY = Denial(503, "issuer-away", "The tunnel's issuer of tokens cannot be asked.", ((b"Retry-After", b"10"),))
LONGEST = 512
OPTIONS: Any = {"require": ["exp", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""Times are compared here, by the clock that we were given."""


def jwt_tokens(value: Any, sets: KeySets, wall: Callable[[], float], limits: AccessLimits) -> TokenRule:
    """The rule: where the issuer's keys are, its name and ours. Raises AccessError."""
    jwks, issuer, audience = members("jwt", value, ("jwks", "issuer", "audience"))
    check_url("jwt", jwks)
    for text in (issuer, audience):
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
            raise AccessError(f"jwt: issuer and audience are texts of 1 to {LONGEST} characters")
    return TokenRule(lambda: sets.at(jwks), issuer, audience, wall, limits)


@implementer(IGuard)
class TokenRule:
    """Lets in who has a good token; it goes on, since services read more of it.

    Signature, algorithm, issuer, audience and times are checked; a token without an end is none.
    """

    def __init__(
        self,
        keys: Callable[[], KeySet],
        issuer: str,
        audience: str,
        wall: Callable[[], float],
        limits: AccessLimits,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._wall = wall
        self._limits = limits
        self._good: Cache[bytes, float] = Cache(limits.tokens, limits.token_age)

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict | Deferred[Verdict]:
        """By the bearer token."""
        token = bearer(asked)
        if token is None:
            return WANTED
        if len(token) > self._limits.token:
            return WRONG
        now, digest = self._wall(), hashlib.sha256(token).digest()
        if (self._good.get(digest, now) or 0.0) > now:
            return None
        kid = _key_id(token)
        if kid is None:
            return WRONG
        try:
            key = self._keys().find(kid)
        except FetchError:
            return AWAY
        if isinstance(key, Deferred):
            return key.addCallbacks(lambda found: self._decide(token, digest, found), _away)
        return self._decide(token, digest, key)

    def admits(self, visitor: Visitor) -> bool:
        """No: without HTTP there is no token."""
        return False

    def _decide(self, token: bytes, digest: bytes, key: Any) -> Verdict:
        if key is None:
            return WRONG
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                options=OPTIONS,
            )
            begins, ends = float(claims.get("nbf", 0)), float(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError):
            return WRONG
        now, leeway = self._wall(), self._limits.leeway
        if not begins - leeway <= now < ends + leeway:
            return WRONG
        self._good.put(digest, ends + leeway, now)
        return None


def _away(reason: Any) -> Verdict:
    reason.trap(FetchError)
    return AWAY


def _key_id(token: bytes) -> str | None:
    """What the token says about its key; None: it is no token, or one of an algorithm that we do not take."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        return None
    if header.get("alg") not in ALGORITHMS or "crit" in header:
        return None
    return str(header.get("kid", ""))
