"""ID tokens (OpenID Connect Core, section 3.1.3.7): signature, issuer, audience, time and nonce. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import attrs
import jwt

from egtunnel.access.key_sets import ALGORITHMS
from egtunnel.access.oidc.errors import LoginError

__all__ = ["Expected", "key_id", "read_id_token"]

_OPTIONS: Any = {
    "verify_exp": False,  # times are compared here, by the clock that we were given
    "verify_iat": False,
    "verify_nbf": False,
    "require": ["iss", "sub", "aud", "exp", "iat"],
}


@attrs.frozen
class Expected:
    """What a token has to say. ``nonce``: of this login. ``leeway``: difference of clocks, seconds."""

    issuer: str
    client: str
    nonce: str = attrs.field(repr=False)
    leeway: float = 0.0


def key_id(token: str) -> str:
    """The id of the key that a token names; empty: none. Raises LoginError."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        raise LoginError("the provider sent no ID token") from None
    if header.get("alg") not in ALGORITHMS or "crit" in header:
        raise LoginError("the provider's ID token is signed in a way that is not good enough")
    return str(header.get("kid", ""))


def read_id_token(token: str, key: Any, expected: Expected, now: float) -> Mapping[str, Any]:
    """The claims of a token that is right in everything. Raises LoginError.

    :param key: a ``PyJWK`` of the provider; None: it has none of that id.
    """
    if key is None:
        raise LoginError("the ID token's signature is not the provider's")
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            audience=expected.client,
            issuer=expected.issuer,
            options=_OPTIONS,
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        raise LoginError("the ID token is not for this tunnel, or not by its provider") from None
    _check_time(claims, now, expected.leeway)
    audience, party, nonce = claims["aud"], claims.get("azp"), claims.get("nonce")
    if (isinstance(audience, list) and len(audience) > 1 and party is None) or party not in (None, expected.client):
        raise LoginError("the ID token is for somebody else")
    if not isinstance(nonce, str) or not _same(nonce, expected.nonce):
        raise LoginError("the ID token belongs to another login")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise LoginError("the ID token is about nobody")
    return claims


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())


def _check_time(claims: Mapping[str, Any], now: float, leeway: float) -> None:
    moments = [claims["exp"], claims["iat"], claims.get("nbf", 0)]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in moments):
        raise LoginError("the ID token has no moments")
    if not (now - leeway < moments[0] and moments[1] <= now + leeway and moments[2] <= now + leeway):
        raise LoginError("the ID token is over, or not good yet; is a clock wrong?")
