"""The key that signs cookies: made at the first use, in a file of the state folder that its owner only can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from egtunnel.access.cookies import KEY_BYTES
from egtunnel.errors import ConfigurationError

__all__ = ["FILE_NAME", "cookie_key"]

FILE_NAME = "cookie-key"


def cookie_key(folder: Path) -> bytes:
    """32 random bytes. Several relays before one store need the same file. Raises ConfigurationError."""
    file = folder / FILE_NAME
    try:
        _make(file)
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as stream:
            if os.fstat(descriptor).st_mode & 0o077:
                raise ConfigurationError(f"{file} can be read by others; give it the mode 0600, or remove it")
            key = stream.read(KEY_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot keep the key of cookies in {file}: {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{file} holds no key of {KEY_BYTES} bytes; remove it, and a new one is made")
    return key


def _make(file: Path) -> None:
    """Under another name first: whoever starts at the same moment sees a whole key or none."""
    if file.exists():
        return
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(descriptor)
        os.link(fresh, file)
    except FileExistsError:
        pass  # another relay was faster: its key counts
    finally:
        fresh.unlink()
