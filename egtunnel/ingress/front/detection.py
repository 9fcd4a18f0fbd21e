"""What a connection is, told by its first bytes. Pure: a table of rows, read from the top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, TypeVar

import attrs

__all__ = ["Row", "Verdict", "anything", "detect", "starts_with"]

Kind = TypeVar("Kind")


class Verdict(Enum):
    """What the bytes so far say to one question."""

    NO = 0
    OPEN = 1
    """More bytes may make it either."""
    YES = 2


Question = Callable[[bytes], Verdict]


@attrs.frozen
class Row(Generic[Kind]):
    """One kind of connection and how it is known."""

    question: Question
    kind: Kind


def starts_with(*signatures: bytes) -> Question:
    """Whether a connection starts with one of these."""

    def question(data: bytes) -> Verdict:
        if data.startswith(signatures):
            return Verdict.YES
        return Verdict.OPEN if any(signature.startswith(data) for signature in signatures) else Verdict.NO

    return question


def anything(data: bytes) -> Verdict:
    """The question of a last row."""
    return Verdict.YES


def detect(table: Sequence[Row[Kind]], data: bytes) -> Kind | None:
    """The first kind that fits; None as long as the bytes are too few to tell, no bytes always are."""
    if not data:
        return None
    for row in table:
        verdict = row.question(data)
        if verdict is not Verdict.NO:
            return row.kind if verdict is Verdict.YES else None
    return None
