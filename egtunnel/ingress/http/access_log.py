"""The access log. (Being written.)"""

from __future__ import annotations

from typing import Any

__all__ = ["AccessLog", "Entry"]

Entry = Any


class AccessLog:
    """One line a request."""

    def request(self, entry: Any) -> None:
        """A response is over."""
