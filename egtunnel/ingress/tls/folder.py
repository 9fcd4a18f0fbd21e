"""Which files of a folder are certificates, and which their keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from egtunnel.errors import ConfigurationError

__all__ = ["certificate_files"]

FULL_CHAIN, PRIVATE_KEY = "fullchain.pem", "privkey.pem"
"""How certbot calls them, in a folder for each name."""
SUFFIXES = (".pem", ".crt")


def certificate_files(folder: Path, most: int) -> list[tuple[Path, Path]]:
    """Pairs of certificate and key, in order of their names. Raises ConfigurationError.

    ``NAME/fullchain.pem`` with ``NAME/privkey.pem``; ``X.crt`` or ``X.pem`` with ``X.key``, or without one where the
    file holds the key as well. What begins with a dot is passed over: it is being written.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise ConfigurationError(f"cannot read the folder {folder}: {error.strerror}") from None
    found = [pair for entry in entries for pair in _pairs(entry)]
    if len(found) > most:
        raise ConfigurationError(f"{folder} holds {len(found)} certificates; {most} are read")
    return found


def _pairs(entry: Path) -> Iterator[tuple[Path, Path]]:
    if (entry / FULL_CHAIN).is_file():
        yield entry / FULL_CHAIN, entry / PRIVATE_KEY
    elif entry.suffix in SUFFIXES and entry.is_file():
        key = entry.with_suffix(".key")
        yield entry, key if key.exists() else entry
