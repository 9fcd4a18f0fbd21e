"""Reads what a request says, strictly: what is not understood is an error, never ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from egtunnel.admin.problems import Problem

__all__ = ["bad", "members", "number", "object_of", "query", "text", "unprocessable"]

_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)


def bad(text: str) -> Problem:
    """The request has not the right shape."""
    return Problem(400, "bad-request", text)


def unprocessable(text: str) -> Problem:
    """The shape is right; what it says cannot be."""
    return Problem(422, "unprocessable", text)


def query(request: Any, known: Collection[str]) -> dict[str, str]:
    """The members of the query, each once. Raises Problem."""
    found = {}
    for name, values in request.args.items():
        try:
            word, value = name.decode("utf-8"), values[0].decode("utf-8")
        except UnicodeDecodeError:
            raise bad("the query is not UTF-8") from None
        if word not in known:
            raise bad(f"the query has no {word[:40]!a}; it may have {', '.join(sorted(known)) or 'nothing'}")
        if len(values) > 1:
            raise bad(f"{word} stands twice in the query")
        if "\0" in value:
            raise bad(f"{word} holds a NUL")
        found[word] = value
    return found


def number(asked: Mapping[str, str], name: str, usual: int, most: int) -> int:
    """A whole number from 1. Raises Problem."""
    given = asked.get(name)
    if given is None:
        return usual
    if not _NUMBER.fullmatch(given) or not 1 <= int(given) <= most:
        raise bad(f"{name} is a whole number from 1 to {most}")
    return int(given)


def object_of(request: Any, most: int) -> dict[str, Any]:
    """The JSON object in the body. Raises Problem."""
    kind = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "unsupported-media-type", "the body must be application/json")
    content = request.content.read(most + 1)
    if len(content) > most:
        raise Problem(413, "body-too-large", f"a body has at most {most} bytes")
    try:
        value = json.loads(content, parse_float=_number)
    except (ValueError, RecursionError):
        raise bad("the body is not JSON") from None
    if not isinstance(value, dict):
        raise bad("the body is not a JSON object")
    if any(each is None for each in value.values()):
        raise bad("leave out what is not to be said, instead of null")
    if "\0" in content.decode("utf-8", "replace") or b"\\u0000" in content:
        raise bad("the body holds a NUL")
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise bad("the body holds half a surrogate pair") from None
    return value


def _number(text: str) -> float | int:
    """JSON knows one kind of number: 3.0 is a whole one."""
    found = float(text)
    return int(found) if found.is_integer() else found


def members(value: Mapping[str, Any], known: Collection[str], wanted: Collection[str] = ()) -> None:
    """Whether there are no others, and all that are wanted. Raises Problem."""
    for name in value:
        if name not in known:
            raise bad(f"there is no member {name[:40]!a}; there may be {', '.join(sorted(known))}")
    for name in wanted:
        if name not in value:
            raise bad(f"the member {name} is missing")


def text(value: Mapping[str, Any], name: str, usual: str = "", *, least: int = 0, most: int = 128) -> str:
    """A text of so many characters. Raises Problem."""
    given = value.get(name, usual)
    if not isinstance(given, str) or not least <= len(given) <= most:
        raise bad(f"{name} is a text of {least} to {most} characters")
    return given
