"""Tokens: how they look, how they are made and compared. Pure; where they are kept is the store's matter."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string

import attrs

from egtunnel.errors import Refused
from egtunnel.store.records import TokenRecord

__all__ = ["NewToken", "check", "digest_of", "is_token", "new_id", "new_secret", "new_token", "spelled", "split"]

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 12
SECRET_BYTES = 32
SECRET_LENGTH = 43
"""Of 62 letters, so many hold 32 bytes."""
_SHAPE = re.compile(rf"eg_([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}})", re.ASCII)
_NOBODY = hashlib.sha256(b"").digest()


@attrs.frozen
class NewToken:
    """A token at the only moment it is known: ``text`` is shown once, ``digest`` is kept."""

    id: str
    text: str = attrs.field(repr=False)
    digest: bytes = attrs.field(repr=False)


def new_id() -> str:
    """A name for a row; no secret."""
    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


def new_secret() -> str:
    """32 random bytes in letters and digits, of one length."""
    return spelled(secrets.token_bytes(SECRET_BYTES))


def spelled(content: bytes) -> str:
    """Up to 32 bytes in 43 letters and digits."""
    number = int.from_bytes(content)
    letters = []
    for _ in range(SECRET_LENGTH):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)


def new_token() -> NewToken:
    """``eg_<id>_<secret>``."""
    name, secret = new_id(), new_secret()
    return NewToken(name, f"eg_{name}_{secret}", digest_of(secret))


def digest_of(secret: str) -> bytes:
    """What is kept of a secret.

    SHA-256 without salt, and not a slow hash as for passwords: a slow hash makes guessing expensive where a person
    chose the secret. Nobody guesses 32 random bytes, however fast; and a slow hash would let strangers keep the relay
    busy by logging in.
    """
    return hashlib.sha256(secret.encode()).digest()


def is_token(text: str) -> bool:
    """Whether a text has the shape of one."""
    return _SHAPE.fullmatch(text) is not None


def split(text: str) -> tuple[str, bytes] | None:
    """The id of a token and the digest of its secret; None: it is no token."""
    shape = _SHAPE.fullmatch(text)
    return None if shape is None else (shape[1], digest_of(shape[2]))


def check(record: TokenRecord | None, digest: bytes, now: float) -> TokenRecord:
    """The record, if the secret of this digest is its secret and it is in force at ``now`` (seconds since 1970).

    Raises Refused. Who does not know the secret hears ``bad-token`` whatever else is wrong, after the same comparison.
    """
    same = hmac.compare_digest(_NOBODY if record is None else record.digest, digest)
    if record is None or not same:
        raise Refused("bad-token", "the relay does not know this token")
    if record.revoked is not None:
        raise Refused("token-revoked", "this token was revoked")
    if record.disabled is not None:
        raise Refused("owner-disabled", "the owner of this token is disabled")
    if record.expires is not None and record.expires <= now:
        raise Refused("token-expired", "this token has expired")
    return record
