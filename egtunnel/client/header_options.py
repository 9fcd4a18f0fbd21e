"""The options that change headers and paths on their way through a tunnel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from egtunnel.configuration import parameter
from egtunnel.errors import ConfigurationError
from egtunnel.policy import Edit, HeaderPolicy, PolicyError, PolicyLimits

__all__ = ["HEADER_PARAMETERS", "read_policy"]

Action = Literal["add", "set", "remove"]

_ACTIONS: tuple[Action, ...] = ("remove", "set", "add")
"""In the order in which they apply: an option does not say where it stood among those of another name."""

HEADER_PARAMETERS: list[list[Any]] = [
    parameter("request-header-add", None, "'Name: value' to add to requests, beside what is there", repeated=True),
    parameter("request-header-set", None, "'Name: value' of requests, in place of what is there", repeated=True),
    parameter("request-header-remove", None, "name of a header to take out of requests", repeated=True),
    parameter("response-header-add", None, "'Name: value' to add to responses, beside what is there", repeated=True),
    parameter("response-header-set", None, "'Name: value' of responses, in place of what is there", repeated=True),
    parameter("response-header-remove", None, "name of a header to take out of responses", repeated=True),
    parameter("path-prefix", None, "what to put before the path of requests, such as /app"),
]


def read_policy(values: Mapping[str, Any], limits: PolicyLimits | None = None) -> HeaderPolicy:
    """The policy that the options describe; those that are absent or None change nothing. Raises ConfigurationError."""
    request, response = tuple(_edits(values, "request")), tuple(_edits(values, "response"))
    try:
        policy = HeaderPolicy(request, response, _bytes("path-prefix", values.get("path-prefix") or ""))
        policy.check(limits or PolicyLimits())
    except PolicyError as error:
        raise ConfigurationError(error.text) from None
    return policy


def _edits(values: Mapping[str, Any], of: str) -> Iterator[Edit]:
    for action in _ACTIONS:
        option = f"{of}-header-{action}"
        texts: Sequence[str] = values.get(option) or ()
        for text in texts:
            yield _edit(option, action, text)


def _edit(option: str, action: Action, text: str) -> Edit:
    name, colon, value = text.partition(":")
    if (action == "remove") == bool(colon):
        wanted = "the name of a header alone" if action == "remove" else "a header as 'Name: value'"
        raise ConfigurationError(f"--{option}: it must be {wanted}")
    try:
        return Edit(action, _bytes(option, name.strip(" \t")), _bytes(option, value.strip(" \t")))
    except PolicyError as error:
        raise ConfigurationError(f"--{option}: {error.text}") from None


def _bytes(option: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # bytes of the command line that are not UTF-8
        raise ConfigurationError(f"--{option}: it must be UTF-8") from None
