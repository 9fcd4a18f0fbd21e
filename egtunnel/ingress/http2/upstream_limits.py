"""Every size and count of HTTP/2 that an upstream could otherwise choose."""

from __future__ import annotations

import attrs

from egtunnel.ingress.http2.limits import H2Limits

__all__ = ["H2UpstreamLimits"]


@attrs.frozen
class H2UpstreamLimits:
    """Sizes in bytes; what HTTP/1 has too stands in ``HTTPLimits``.

    ``window``: receive window of a response while its request is still being sent: as much may wait here for a visitor
    who takes nothing. ``bulk_window``: from then on, since the whole connection can be held back.
    ``header_block``: compressed, of one response or its trailers. ``header_table``: of the compression of requests,
    whatever the service offers. ``lifetime``: requests of one connection. ``visitor``: how many frames that carry
    nothing are borne, as of visitors.
    """

    window: int = 131_072
    bulk_window: int = 1_048_576
    header_block: int = 65_536
    header_table: int = 4_096
    lifetime: int = 100_000
    visitor: H2Limits = attrs.field(factory=H2Limits)
