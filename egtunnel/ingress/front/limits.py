"""Every count, size and wait of the front door that a stranger could otherwise choose."""

from __future__ import annotations

import attrs

__all__ = ["FrontLimits"]


@attrs.frozen
class FrontLimits:
    """``peek``: seconds in which a new connection has to show what it is. ``proxy_header``: bytes of a PROXY header.

    ``connections``: of visitors, in all; ``per_address``: of one address, or one IPv6 network of 64 bits. ``leaving``:
    connections at once that are one too many and are still told so; beyond it they are closed without a word.
    """

    peek: float = 10.0
    proxy_header: int = 2_048
    connections: int = 10_000
    per_address: int = 512
    leaving: int = 1_000
