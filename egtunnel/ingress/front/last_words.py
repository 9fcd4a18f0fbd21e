"""What a connection hears that goes no further than the door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from egtunnel.ingress.http.farewell import Farewell
from egtunnel.ingress.http.limits import HTTPLimits
from egtunnel.ingress.http.refusals import REASONS, Refusal

__all__ = ["NO_TLS", "LastWords", "refusal_bytes"]

NO_TLS = bytes.fromhex("15 0301 0002 02 28")
"""A TLS record with the fatal alert handshake_failure (RFC 8446 section 6): there is no certificate here."""


class LastWords(Farewell):
    """Says something without listening, and ends."""

    __slots__ = ("_on_lost", "_words")

    def __init__(self, clock: IReactorTime, limits: HTTPLimits, words: bytes, on_lost: Callable[[], None]) -> None:
        super().__init__(clock, limits, linger=True)
        self._words = words
        self._on_lost = on_lost

    def makeConnection(self, transport: Any) -> None:
        """Say it and end."""
        transport.write(self._words)
        super().makeConnection(transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        super().connectionLost(reason)
        self._on_lost()


def refusal_bytes(refusal: Refusal, retry_after: int) -> bytes:
    """An HTTP/1.1 response to a request that nobody has read."""
    text = refusal.text.encode("ascii") + b"\n"
    lines = [
        b"HTTP/1.1 %d %b" % (refusal.status, REASONS[refusal.status]),
        b"Content-Type: text/plain",
        b"Cache-Control: no-store",
        b"X-Egtunnel-Error: " + refusal.word.encode("ascii"),
        b"Retry-After: %d" % retry_after,
        b"Content-Length: %d" % len(text),
        b"Connection: close",
        b"",
        text,
    ]
    return b"\r\n".join(lines)
