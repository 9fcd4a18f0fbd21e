"""The options that say how much may go through a tunnel: limits, which the relay keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from egtunnel.configuration import parameter, whole_number
from egtunnel.errors import ConfigurationError
from egtunnel.limits.terms import MOST, bandwidth_of, rate_of

__all__ = ["LIMIT_PARAMETERS", "read_limits"]


def _checked(read: Callable[[str], Any]) -> Callable[[str], str]:
    """A reader that keeps the text: the relay reads it as well."""

    def checked(text: str) -> str:
        read(text)
        return text

    return checked


LIMIT_PARAMETERS: list[list[Any]] = [
    parameter("rate", None, "requests (TCP: connections) of all visitors: 100/s, 600/m, 50/h", _checked(rate_of)),
    parameter("burst", None, "how many of them may come at once (a twentieth of a second's)", whole_number(1, MOST)),
    parameter("rate-per-address", None, "the same of one address", _checked(rate_of)),
    parameter("max-connections", None, "connections, or requests, at once", whole_number(1, MOST)),
    parameter("bandwidth-in", None, "bytes a second from visitors: 500k, 1M", _checked(bandwidth_of)),
    parameter("bandwidth-out", None, "bytes a second to visitors: 500k, 1M", _checked(bandwidth_of)),
]


def read_limits(values: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that the options describe, as the relay's rule has them; empty: none. Raises ConfigurationError."""
    if values["burst"] and not values["rate"]:
        raise ConfigurationError("--burst is of --rate, which is missing")
    names = {row[0]: "connections" if row[0] == "max-connections" else row[0] for row in LIMIT_PARAMETERS}
    return {name: values[option] for option, name in names.items() if values[option] is not None}
