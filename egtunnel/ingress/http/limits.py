"""Every size, count and wait of the HTTP ingress that a visitor or an upstream could otherwise choose."""

from __future__ import annotations

import attrs

__all__ = ["HTTPLimits"]


@attrs.frozen
class HTTPLimits:
    """Sizes in bytes, times in seconds.

    What a visitor sends:
    ``head``: of a request, first line and all headers. ``target``: of the request line. ``header``: one header, name
    and value. ``headers``: their number. ``trailers``: their number. ``overhead``: of a chunked body, beyond 16 bytes a
    chunk: extensions and trailers. ``hops``: trusted proxies in a row that say who asked them.

    What an upstream sends:
    ``response_head``, ``response_headers``: as above. ``informational``: 1xx responses before the final one.

    Counts:
    ``exchanges``: at once through one tunnel, ``exchanges_per_address``: of one address's, or of one IPv6 network's of
    64 bits. ``idle_upstreams``: kept of one.
    ``linger_bytes``: read and thrown away after a response that came before the request had ended.
    ``held_bodies``: bytes of all bodies that rules for visitors want to read before they go on.

    Waits:
    ``head_wait``: a whole head, from its first byte or the start of the connection. ``keep_alive``: idle between
    requests. ``body_wait``: no byte of a request body; ``body_rate``: bytes a second that it has to come at on an
    average after ``body_grace`` (0: at any rate). ``stall``: no progress in writing to a visitor that does not read,
    ``upstream_stall``: to an upstream. ``half_closed``: no progress for a visitor that sends no more. ``linger``:
    before closing.
    ``answer``: from the end of the request to the response head. ``dial``: to be connected with the upstream.
    ``judge``: for the rules for visitors to decide, not counting the wait for a body.
    ``idle_upstream``: unused, and ``fresh_upstream``: unused and still good for a request that must not be repeated.
    ``retry_after``: what a visitor is told to wait.
    """

    head: int = 32_768
    target: int = 8_192
    header: int = 16_384
    headers: int = 128
    trailers: int = 64
    overhead: int = 8_192
    hops: int = 32

    response_head: int = 65_536
    response_headers: int = 256
    informational: int = 100

    exchanges: int = 2_000
    exchanges_per_address: int = 1_000
    idle_upstreams: int = 512
    linger_bytes: int = 1_048_576
    held_bodies: int = 268_435_456

    head_wait: float = 10.0
    keep_alive: float = 75.0
    body_wait: float = 60.0
    body_rate: int = 240
    body_grace: float = 20.0
    stall: float = 60.0
    upstream_stall: float = 300.0
    half_closed: float = 2.0
    linger: float = 5.0
    answer: float = 60.0
    dial: float = 60.0
    judge: float = 15.0
    idle_upstream: float = 4.0
    fresh_upstream: float = 1.0
    retry_after: int = 5
