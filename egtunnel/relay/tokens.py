"""Which tokens open the relay. Only digests are compared and kept."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

__all__ = ["Tokens"]

ID_LENGTH = 16


class Tokens:
    """The tokens that are known, each by the start of its digest, which says nothing about the token."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [_digest(token) for token in tokens]
        self.renamed: dict[str, str] = {}

    def replace(self, earlier: Tokens) -> None:
        """Where one token stands in the place of one other, its clients are those of the other, under the same id.

        ``renamed`` has that id, and the one that the new token has once nobody remembers the other.
        """
        if len(self._digests) == len(earlier._digests) == 1:
            own = _id(self._digests[0])
            known = next(iter(earlier.renamed), _id(earlier._digests[0]))
            self.renamed = {} if own == known else {known: own}

    def check(self, shown: str) -> str | None:
        """The id of a token somebody shows; None: not known. Takes the same time whatever is shown."""
        digest = _digest(shown)
        found = None
        for known in self._digests:
            if compare_digest(known, digest):
                found = _id(known)
        return next((known for known, own in self.renamed.items() if own == found), found)


def _id(digest: bytes) -> str:
    return digest.hex()[:ID_LENGTH]


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
