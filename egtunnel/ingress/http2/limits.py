"""Every size, count and wait of HTTP/2 that a visitor could otherwise choose."""

from __future__ import annotations

import attrs

__all__ = ["H2Limits"]


@attrs.frozen
class H2Limits:
    """Sizes in bytes, times in seconds; what HTTP/1 has too stands in ``HTTPLimits``.

    ``streams``: open at once on a connection; one too many is refused. ``lifetime``: streams of one connection, after
    which it is left gracefully. ``window``: receive window of a stream, ``connection_window``: of the connection.
    ``header_block``: compressed, of one request or its trailers; ``header_list``: the same uncompressed. ``buffer``:
    held of one response for a visitor that does not take it.

    ``resets``: streams reset by either side beyond ``reset_rate`` a second; ``control``: frames that cost the visitor
    nothing (PING, SETTINGS, PRIORITY, empty DATA, unknown types) beyond ``control_rate`` a second. More end the
    connection with ENHANCE_YOUR_CALM.

    ``tick``: how often waits are looked at. ``quiet``: nothing came although streams are open, after which a PING asks
    whether the visitor is there; it has as long again to answer.
    """

    streams: int = 100
    lifetime: int = 10_000
    window: int = 262_144
    connection_window: int = 1_048_576
    header_block: int = 65_536
    header_list: int = 65_536
    buffer: int = 65_536

    resets: int = 300
    reset_rate: float = 30.0
    control: int = 1_000
    control_rate: float = 50.0

    tick: float = 5.0
    quiet: float = 45.0
