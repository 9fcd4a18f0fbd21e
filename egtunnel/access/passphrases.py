"""Passphrases that people choose, as scrypt hashes. Slow on purpose: for a thread, never for the reactor's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from egtunnel.errors import ConfigurationError

__all__ = ["hash_passphrase", "passphrase_fits"]

COST, BLOCK, LANES = 2**14, 8, 1
"""16 MiB of memory and some 40 ms."""
SALT = 16
LONGEST = 256


def hash_passphrase(passphrase: str) -> str:
    """What is kept of it: ``scrypt$<salt>$<hash>``. Raises ConfigurationError."""
    if not 1 <= len(passphrase) <= LONGEST:
        raise ConfigurationError(f"a passphrase has 1 to {LONGEST} characters")
    salt = secrets.token_bytes(SALT)
    return f"scrypt${_text(salt)}${_text(_hash(passphrase, salt))}"


def passphrase_fits(passphrase: str, kept: str) -> bool:
    """Whether it is the one; compared in constant time. What is not a hash fits nothing."""
    try:
        kind, salt, digest = kept.split("$")
        expected = base64.b64decode(digest, validate=True)
        found = _hash(passphrase[: LONGEST + 1], base64.b64decode(salt, validate=True))
    except (ValueError, binascii.Error):
        return False
    return kind == "scrypt" and hmac.compare_digest(found, expected)


def _hash(passphrase: str, salt: bytes) -> bytes:
    content = passphrase.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(content, salt=salt, n=COST, r=BLOCK, p=LANES, maxmem=64 * 1024 * 1024, dklen=32)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
