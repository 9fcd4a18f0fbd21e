"""Paths of requests against the prefixes of a share, pure: what could be read in two ways is inside of nothing.

The path itself is forwarded byte for byte. So it is not enough that one reading of it lies inside a prefix: the service
behind may decode, fold slashes and climb in any order. A path is plain if all these readings agree, and only a plain
path can be inside.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

__all__ = ["inside", "is_prefix", "plain"]

_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VISIBLE = re.compile(r"/[\x21-\x7e]*", re.ASCII)
_SEPARATORS = frozenset(b"/\\")


def plain(target: str) -> str | None:
    """The decoded path (Latin-1, a letter a byte) of a request target; None: it is not plain.

    Not plain: ``.`` and ``..`` segments and those with parameters (``..;x``), empty segments but the last, backslashes,
    control bytes, a broken escape, and all of these escaped, also twice (``%252e``).
    """
    path = target.partition("?")[0]
    if not _VISIBLE.fullmatch(path) or "\\" in path or "#" in path or _ESCAPE.search(path):
        return None
    segments = path.split("/")[1:]
    decoded = []
    for place, segment in enumerate(segments):
        found = unquote_to_bytes(segment)
        if not found and place < len(segments) - 1:
            return None
        if not _harmless(found) or (b"%" in found and not _harmless_to_the_end(found)):
            return None
        decoded.append(found.decode("latin-1"))
    return "/" + "/".join(decoded)


def is_prefix(prefix: str) -> bool:
    """Whether a text can be the prefix of a service: a plain path without query, escapes and a slash at its end."""
    if prefix == "/":
        return True
    return plain(prefix) == prefix and not prefix.endswith("/") and not set("?;%") & set(prefix)


def inside(decoded: str, prefix: str) -> bool:
    """Whether a plain path is the prefix or below it; ``/mail`` does not hold ``/mailbox``."""
    return prefix == "/" or decoded == prefix or decoded.startswith(f"{prefix}/")


def _harmless(segment: bytes) -> bool:
    if any(byte in _SEPARATORS or byte < 0x20 or byte == 0x7F for byte in segment):
        return False
    return segment.partition(b";")[0].strip() not in (b".", b"..")


def _harmless_to_the_end(segment: bytes) -> bool:
    """However often a service decodes it again; every round makes it shorter, or is the last."""
    while (again := unquote_to_bytes(segment)) != segment:
        segment = again
        if not _harmless(segment):
            return False
    return True
