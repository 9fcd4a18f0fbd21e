"""Passwords as hashes that are slow on purpose, bcrypt and argon2: what of them is taken, and whether one fits."""

from __future__ import annotations

import re

import argon2
import bcrypt

from egtunnel.access.limits import AccessLimits
from egtunnel.guard import AccessError

__all__ = ["check_hash", "fits"]

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_BCRYPT_READS = 72
"""Bytes of a password that bcrypt reads; other programs, too, cut it there."""


def check_hash(kept: str, limits: AccessLimits) -> None:
    """Whether a hash may be kept: who makes one chooses what it costs us. Raises AccessError, without repeating it."""
    match = _BCRYPT.fullmatch(kept)
    if match is not None:
        if not 4 <= int(match[1]) <= limits.bcrypt_cost:
            raise AccessError(f"a bcrypt hash has a cost of 4 to {limits.bcrypt_cost}")
        return
    try:
        found = argon2.extract_parameters(kept)
    except (argon2.exceptions.InvalidHashError, ValueError):
        raise AccessError("a password is kept as its bcrypt or argon2 hash ($2b$... or $argon2id$...)") from None
    if (
        found.memory_cost > limits.argon2_memory
        or found.time_cost > limits.argon2_passes
        or found.parallelism > limits.argon2_lanes
    ):
        raise AccessError(
            f"an argon2 hash has at most m={limits.argon2_memory}, t={limits.argon2_passes}, p={limits.argon2_lanes}"
        )


def fits(password: bytes, kept: str) -> bool:
    """Whether the hash is the password's. Takes a tenth of a second or so: for a thread, never for the reactor's."""
    if kept.startswith("$2"):
        try:
            return bcrypt.checkpw(password[:_BCRYPT_READS], kept.encode("ascii"))
        except ValueError:
            return False
    try:
        return argon2.PasswordHasher().verify(kept, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
