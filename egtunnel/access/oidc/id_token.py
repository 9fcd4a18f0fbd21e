"""ID tokens (OpenID Connect Core, section 3.1.3.7): signature, issuer, audience, time and nonce. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import jwt

from egtunnel.access.oidc.errors import LoginError

__all__ = ["ALGORITHMS", "Expected", "Key", "key_wanted", "read_id_token", "read_keys"]

ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"))
"""With a public key, all of them: a secret that providers and relays share signs nothing here."""
KEYS = 100
_REQUIRED = ("iss", "sub", "aud", "exp", "iat")
_OPTIONS: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": list(_REQUIRED)}


@attrs.frozen
class Key:
    """A public key of a provider; ``name`` and ``algorithm`` are empty where it does not say."""

    name: str
    algorithm: str
    key: Any = attrs.field(repr=False)


@attrs.frozen
class Expected:
    """What a token has to say. ``nonce``: of this login."""

    issuer: str
    client: str
    nonce: str = attrs.field(repr=False)
    leeway: float = 0.0


def read_keys(document: Any) -> tuple[Key, ...]:
    """The keys of a JWK set that can be used here; others are passed over."""
    found = []
    keys = document.get("keys") if isinstance(document, dict) else None
    for each in keys[:KEYS] if isinstance(keys, list) else ():
        if not isinstance(each, dict) or each.get("kty") == "oct" or each.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(each).key
        except (jwt.PyJWTError, TypeError, ValueError, KeyError):
            continue
        found.append(Key(_text(each.get("kid")), _text(each.get("alg")), key))
    return tuple(found)


def key_wanted(token: str, keys: Sequence[Key]) -> list[Key]:
    """The keys that could have signed a token. Raises LoginError."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise LoginError("the provider sent no ID token") from None
    name, algorithm = header.get("kid"), header.get("alg")
    if algorithm not in ALGORITHMS:
        raise LoginError("the provider's ID token is signed in a way that is not good enough")
    return [key for key in keys if name in (None, key.name) and key.algorithm in ("", algorithm)]


def read_id_token(token: str, keys: Sequence[Key], expected: Expected, now: float) -> Mapping[str, Any]:
    """The claims of a token that is right in everything. Raises LoginError."""
    claims = _verified(token, key_wanted(token, keys), expected)
    _check_time(claims, now, expected.leeway)
    audience = claims["aud"]
    party = claims.get("azp")
    if (isinstance(audience, list) and len(audience) > 1 and party is None) or party not in (None, expected.client):
        raise LoginError("the ID token is for somebody else")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise LoginError("the ID token belongs to another login")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise LoginError("the ID token is about nobody")
    return claims


def _verified(token: str, keys: Sequence[Key], expected: Expected) -> dict[str, Any]:
    for key in keys:
        try:
            algorithm = str(jwt.get_unverified_header(token)["alg"])
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=expected.client,
                issuer=expected.issuer,
                options=_OPTIONS,
            )
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError, ValueError):
            continue  # another key, or one of another kind
        except jwt.PyJWTError:
            raise LoginError("the ID token is not for this tunnel, or not by its provider") from None
        return claims
    raise LoginError("the ID token's signature is not the provider's")


def _check_time(claims: Mapping[str, Any], now: float, leeway: float) -> None:
    moments = [claims["exp"], claims["iat"], claims.get("nbf", 0)]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in moments):
        raise LoginError("the ID token has no moments")
    if not (now - leeway < moments[0] and moments[1] <= now + leeway and moments[2] <= now + leeway):
        raise LoginError("the ID token is over, or not good yet; is a clock wrong?")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
