"""What the relay gives a browser to keep: encrypted and signed (AES-256-GCM), for one purpose in one context. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Seal"]

NONCE = 12
LONGEST = 8_192
_PURPOSE = b"egtunnel login 1"


class Seal:
    """Seals and opens.

    :param key: of all cookies of this relay, 32 random bytes; what is used is derived from it.
    """

    __slots__ = ("_cipher", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, _PURPOSE, hashlib.sha256)
        self._cipher = AESGCM(hmac.digest(self._key, b"encryption", hashlib.sha256))

    def close(self, purpose: str, context: tuple[str, ...], value: dict[str, Any]) -> str:
        """A text of the Base64 alphabet for URLs, which opens with the same purpose and context alone."""
        nonce = secrets.token_bytes(NONCE)
        text = json.dumps(value, separators=(",", ":")).encode()
        return _encode(nonce + self._cipher.encrypt(nonce, text, _bound(purpose, context)))

    def open(self, purpose: str, context: tuple[str, ...], text: str) -> dict[str, Any] | None:
        """What was sealed; None: it was not by us, for something else, or has been changed."""
        sealed = _decode(text)
        if len(sealed) <= NONCE:
            return None
        try:
            opened = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], _bound(purpose, context))
        except InvalidTag:
            return None
        value: dict[str, Any] = json.loads(opened)
        return value

    def random(self) -> str:
        """A random text of 43 characters."""
        return _encode(secrets.token_bytes(32))

    def derive(self, purpose: str, context: tuple[str, ...]) -> str:
        """A secret text (43 characters) that is always the same for a purpose and context."""
        return _encode(hmac.digest(self._key, b"derived" + _bound(purpose, context), hashlib.sha256))


def _bound(purpose: str, context: tuple[str, ...]) -> bytes:
    return json.dumps([purpose, *context]).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    """Empty for what _encode() would not have written: a text has one form, so that a change is one."""
    if len(text) > LONGEST or not text.isascii() or "=" in text:
        return b""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""
    return data if _encode(data) == text else b""
