"""Options that bound what every tunnel may take, whatever its client asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from egtunnel.configuration import parameter, whole_number
from egtunnel.limits.terms import MOST, Terms, bandwidth_of, rate_of

__all__ = ["LIMIT_PARAMETERS", "read_bounds"]

LIMIT_PARAMETERS: list[list[Any]] = [
    parameter("tunnel-rate", None, "most requests (TCP: connections) of one tunnel: 100/s, 600/m, 50/h", rate_of),
    parameter("tunnel-rate-per-address", None, "the same of one visitor's address at one tunnel", rate_of),
    parameter("tunnel-connections", None, "most connections, or requests, at once", whole_number(1, MOST)),
    parameter("tunnel-bandwidth-in", None, "most bytes a second from a tunnel's visitors: 500k, 1M", bandwidth_of),
    parameter("tunnel-bandwidth-out", None, "most bytes a second to a tunnel's visitors: 500k, 1M", bandwidth_of),
]


def read_bounds(options: Mapping[str, Any]) -> Terms:
    """The bounds that the options name."""
    names = ("rate", "rate-per-address", "connections", "bandwidth-in", "bandwidth-out")
    return Terms(*(options[f"tunnel-{name}"] for name in names))
