"""An upstream that speaks HTTP/2 in the clear. (Being written.)"""

from __future__ import annotations

from typing import Any

__all__ = ["H2Upstream"]


class H2Upstream:
    """An ``Upstream`` that speaks HTTP/2."""

    def __init__(self, home: Any, clock: Any, limits: Any, domain: str) -> None:
        raise NotImplementedError
