"""ID tokens: one that is right, and each way in which it is not."""

from __future__ import annotations

import base64
import json
from typing import Any

import attrs
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from egtunnel.access.oidc.errors import LoginError
from egtunnel.access.oidc.id_token import Expected, key_id, read_id_token
from tests.access.oidc.issuing import CLIENT, ISSUER, KEYS, NOW, OTHER, OWN, claims, signed

EXPECTED = Expected(ISSUER, CLIENT, "n" * 43, 30.0)
KEY = jwt.PyJWK(KEYS["keys"][0])


def read(token: str, expected: Expected = EXPECTED, now: float = NOW, key: Any = KEY) -> Any:
    key_id(token)
    return read_id_token(token, key, expected, now)


def test_a_good_one() -> None:
    """Its claims, and the name of its key."""
    token = signed(claims())
    assert key_id(token) == "k"
    assert read(token)["sub"] == "1"
    assert read(signed(claims(aud=[CLIENT], azp=CLIENT)))["sub"] == "1"
    assert read(signed(claims(aud=[CLIENT, "more"], azp=CLIENT)))["sub"] == "1"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": [CLIENT, "other"]},
        {"aud": None},
        {"azp": "other"},
        {"nonce": "m" * 43},
        {"nonce": None},
        {"nonce": 7},
        {"nonce": "\u00e4"},
        {"sub": ""},
        {"sub": None},
        {"exp": NOW - 30},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": NOW + 31},
        {"iat": None},
        {"nbf": NOW + 31},
    ],
)
def test_a_wrong_claim(changes: dict[str, Any]) -> None:
    """Each is enough."""
    with pytest.raises(LoginError):
        read(signed(claims(**changes)))


def test_a_wrong_signature() -> None:
    """Of another key, none, of a secret, and with a byte of it changed."""
    public = OWN.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "k"}).encode()).decode().rstrip("=")
    good = signed(claims())
    body = good.split(".")[1]
    secret = jwt.api_jws.PyJWS()
    mac = secret.get_algorithm_by_name("HS256").sign(f"{header}.{body}".encode(), public)
    forged = f"{header}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    nothing: Any = None
    unsigned = jwt.encode(claims(), nothing, "none", headers={"kid": "k"})
    swapped = good.replace(body, signed(claims(sub="2")).split(".")[1])
    for token in (signed(claims(), OTHER), forged, unsigned, swapped, good[:-4] + "AAAA", "", "a.b.c", "x" * 100):
        with pytest.raises(LoginError):
            read(token)


def test_a_key_that_the_provider_does_not_have() -> None:
    """And a header that asks for more than we know."""
    with pytest.raises(LoginError):
        read(signed(claims()), key=None)
    with pytest.raises(LoginError):
        read(signed(claims(), crit=["b64"], b64=True))


def test_the_nonce_is_not_shown() -> None:
    """By what expects it."""
    assert "n" * 43 not in repr(attrs.evolve(EXPECTED))
