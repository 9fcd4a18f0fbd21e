"""Who may use the API: who shows the admin token, which stands in a file of the state folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any

from egtunnel.access.wrong import Wrong
from egtunnel.admin.problems import Problem
from egtunnel.errors import ConfigurationError

__all__ = ["FILE_NAME", "Authority", "admin_token"]

FILE_NAME = "admin-token"
PREFIX = "ega_"
MOST_WRONG, WINDOW = 20, 60.0
"""Wrong tokens of one address, in seconds; then it is told to wait."""


def admin_token(folder: Path) -> str:
    """The token, made at the first start, in a file that its owner alone can read. Raises ConfigurationError."""
    file = folder / FILE_NAME
    try:
        if not file.exists():
            fresh = file.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(f"{PREFIX}{secrets.token_urlsafe(32)}\n")
            fresh.replace(file)
        if file.stat().st_mode & 0o077:
            raise ConfigurationError(f"{file} can be read by others; give it the mode 0600, or remove it")
        token = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot keep the token of the API in {file}: {error}") from None
    if len(token) < 32:
        raise ConfigurationError(f"{file} holds no token of 32 characters or more; remove it, and a new one is made")
    return token


class Authority:
    """Lets in who shows the token; compared as hashes, in constant time.

    :param seconds: of a clock that never jumps.
    """

    def __init__(self, token: str, seconds: Callable[[], float]) -> None:
        self._digest = sha256(token.encode()).digest()
        self._seconds = seconds
        self._wrong = Wrong(MOST_WRONG, WINDOW)

    def check(self, request: Any) -> None:
        """Raises Problem."""
        source = (request.getHeader("x-forwarded-for") or "").partition(",")[0].strip() or "local"
        wait = self._wrong.wait(source, self._seconds())
        if wait:
            text = "too many wrong tokens came from this address"
            raise Problem(429, "too-many-attempts", text, Retry_After=str(int(wait) + 1))
        scheme, _, shown = (request.getHeader("authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            text = "the API wants the relay's admin token: Authorization: Bearer ..."
            raise Problem(401, "unauthorized", text, WWW_Authenticate='Bearer realm="egtunnel"')
        if not compare_digest(sha256(shown.strip().encode("utf-8", "surrogateescape")).digest(), self._digest):
            self._wrong.note(source, self._seconds())
            text = "this is not the admin token"
            raise Problem(401, "unauthorized", text, WWW_Authenticate='Bearer realm="egtunnel", error="invalid_token"')
