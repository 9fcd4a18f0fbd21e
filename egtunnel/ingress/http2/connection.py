"""A visitor's HTTP/2 connection. (Being written.)"""

from __future__ import annotations

from typing import Any

__all__ = ["H2Connection"]


class H2Connection:
    """One connection."""

    def __init__(self, site: Any, peer: Any, on_lost: Any) -> None:
        raise NotImplementedError
