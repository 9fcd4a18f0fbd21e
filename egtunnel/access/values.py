"""Reads what a claim says of a rule. Pure."""

from __future__ import annotations

from typing import Any

from egtunnel.guard import AccessError

__all__ = ["members", "texts"]

LONGEST = 2_048
"""Characters of one text."""


def texts(rule: str, value: Any, most: int) -> list[str]:
    """A list of 1 to ``most`` texts. Raises AccessError."""
    if not isinstance(value, list) or not all(isinstance(each, str) and 0 < len(each) <= LONGEST for each in value):
        raise AccessError(f"{rule}: it must be a list of texts")
    if not 1 <= len(value) <= most:
        raise AccessError(f"{rule}: 1 to {most} of them")
    return value


def members(rule: str, value: Any, names: tuple[str, ...]) -> list[Any]:
    """The members of an object that has exactly these. Raises AccessError."""
    if not isinstance(value, dict) or set(value) != set(names):
        raise AccessError(f"{rule}: it must be an object of {', '.join(names)}")
    return [value[name] for name in names]
