"""What a request to a proxy is: bytes out, bytes in, and at the end an open way or a refusal. Pure."""

from __future__ import annotations

from typing import Protocol

from egtunnel.errors import LinkLost

__all__ = ["ProxyRefused", "WayRequest"]


class ProxyRefused(LinkLost):
    """A proxy that does not open the way, or is none."""

    word = "proxy-refused"


class WayRequest(Protocol):
    """One request; ``rest``: what came behind the last word of the proxy once the way is open, None before that."""

    rest: bytes | None

    def begin(self) -> bytes:
        """The first word."""

    def received(self, data: bytes) -> bytes:
        """What the proxy says; the answer to it. Raises ProxyRefused."""
