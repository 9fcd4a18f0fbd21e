"""Every size, count and wait of the API."""

from __future__ import annotations

import attrs

__all__ = ["ApiLimits"]


@attrs.frozen
class ApiLimits:
    """``body``: bytes of a request. ``page``: rows of an answer that did not say how many; ``most``: that may be asked
    for. ``subscribers``: that listen to events at once; ``backlog``: bytes that one may be behind until it is cut off.
    ``ping``: seconds between two signs of life to each.
    """

    body: int = 65_536
    page: int = 100
    most: int = 500
    subscribers: int = 32
    backlog: int = 262_144
    ping: float = 15.0
