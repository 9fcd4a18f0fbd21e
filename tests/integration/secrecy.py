"""No secret in any log of the whole test run: whatever a daemon of a test wrote is looked through when it ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["LEAKS", "leaks", "look_through", "secrets_of"]

LEAKS: list[str] = []
"""What was found so far; a test that ends with something in it fails."""
TOKENS = re.compile(rb"eg_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}|ega_[0-9A-Za-z_-]{43}")
LINKS = re.compile(rb"/share/[0-9A-Za-z_-]{32}|[?&]ticket=[0-9A-Za-z_-]{40}")
SHORTEST = 8
"""Characters; a shorter text could stand in a log by chance."""
LOGS = ("access*", "audit*", "*.log")


def secrets_of(home: Path, env: dict[str, str]) -> list[bytes]:
    """What a daemon with this home was told in secret."""
    found = [env.get("EGTUNNEL_TOKEN", "").encode()]
    for name in ("token", "admin-token", "cookie-key"):
        found += [file.read_bytes().strip() for file in home.glob(f"state/egtunnel/*/{name}")]
    return [secret for secret in found if len(secret) >= SHORTEST]


def leaks(text: bytes, secrets: Iterable[bytes], *, links: bool = True) -> Iterator[str]:
    """What stands in a text and should not; ``links``: those of shares are secrets, too."""
    for pattern in (TOKENS, LINKS) if links else (TOKENS,):
        for found in pattern.finditer(text):
            yield _line(text, found.start())
    for secret in secrets:
        place = text.find(secret)
        if place >= 0:
            yield _line(text, place)


def look_through(what: str, output: str, home: Path, env: dict[str, str], *, links: bool = True) -> None:
    """Note what a daemon has let out, on its terminal or in its files."""
    secrets = secrets_of(home, env)
    texts = {what: output.encode("utf-8", "surrogateescape")}
    for pattern in LOGS:
        texts |= {file.name: file.read_bytes() for file in home.glob(pattern) if file.is_file()}
    for name, text in texts.items():
        # what a program prints for its user may hold a link; its log may not
        LEAKS.extend(f"{name}: {line}" for line in leaks(text, secrets, links=links or name != what))


def _line(text: bytes, place: int) -> str:
    start, end = text.rfind(b"\n", 0, place) + 1, text.find(b"\n", place)
    return text[start : end if end >= 0 else None][:300].decode("utf-8", "replace")
