"""The rule ``api-keys``: a visitor shows one of some keys, of which the relay knows the hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from zope.interface import implementer

from egtunnel.access.limits import AccessLimits
from egtunnel.access.values import texts
from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor

__all__ = ["KeyRule", "api_keys", "bearer"]

NO_KEY = Denial(
    401,
    "key-wanted",
    "This tunnel wants a key, in X-API-Key or as a bearer token.",
    ((b"WWW-Authenticate", b"Bearer"),),
)
HEADER, AUTHORIZATION = b"x-api-key", b"authorization"
_DIGEST = re.compile("[0-9a-f]{64}")
_LONGEST = 1_024


def api_keys(value: Any, limits: AccessLimits) -> KeyRule:
    """The rule: a list of SHA-256 digests of keys, in hexadecimal digits. Raises AccessError."""
    found = texts("api-keys", value, limits.keys)
    if not all(_DIGEST.fullmatch(each) for each in found):
        raise AccessError("api-keys: each is the SHA-256 digest of a key, 64 hexadecimal digits")
    return KeyRule([bytes.fromhex(each) for each in found])


def bearer(asked: Asked) -> bytes | None:
    """The one bearer token of a request (RFC 6750); None: there is none, or more than one."""
    values = asked.values(AUTHORIZATION)
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    return token.strip(b" ") or None if scheme.lower() == b"bearer" else None


@implementer(IGuard)
class KeyRule:
    """Lets in who has a key; neither of the headers that held it goes on."""

    def __init__(self, digests: list[bytes]) -> None:
        self._digests = digests

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """By ``X-API-Key``, or a bearer token."""
        values = asked.values(HEADER)
        if len(values) == 1:
            if self._fits(values[0]):
                asked.withhold(HEADER)
                return None
            return NO_KEY
        token = bearer(asked) if not values else None
        if token is None or not self._fits(token):
            return NO_KEY
        asked.withhold(AUTHORIZATION)
        return None

    def admits(self, visitor: Visitor) -> bool:
        """No: without HTTP there is no key."""
        return False

    def _fits(self, key: bytes) -> bool:
        if len(key) > _LONGEST:
            return False
        shown = hashlib.sha256(key).digest()
        fits = False
        for digest in self._digests:  # all of them, however early one fits
            fits |= hmac.compare_digest(shown, digest)
        return fits
