"""A provider of the tests' own: its keys, and the tokens it signs."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["CLIENT", "ISSUER", "KEYS", "NOW", "OTHER", "OWN", "claims", "signed"]

ISSUER, CLIENT, NOW = "https://login.example.com", "app", 1_000_000.0
OWN, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
KEYS = {"keys": [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OWN.public_key())), "kid": "k", "use": "sig"}]}


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token; None takes one away."""
    good = {"iss": ISSUER, "aud": CLIENT, "sub": "1", "exp": NOW + 60, "iat": NOW, "nonce": "n" * 43}
    good |= {"email": "ada@example.com", "email_verified": True}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(content: dict[str, Any], key: Any = OWN, algorithm: str = "RS256", **headers: Any) -> str:
    """A token."""
    return jwt.encode(content, key, algorithm, headers={"kid": "k"} | headers)
