"""Own error pages. (Being written.)"""

from __future__ import annotations

__all__ = ["ErrorPages"]


class ErrorPages:
    """A folder of pages."""
