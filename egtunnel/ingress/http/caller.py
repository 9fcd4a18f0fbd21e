"""Who is at the other end of a visitor's connection, in the forms in which it is passed on."""

from __future__ import annotations

from typing import Any

from egtunnel.ingress.http.headers import forwarded
from egtunnel.interfaces import Visitor, plain_address

__all__ = ["Caller"]


class Caller:
    """Makes the frozen visitor and the forwarded headers; a connection asks for the same ones again and again."""

    __slots__ = ("_forwarded", "_host", "_scheme", "_visitor")

    def __init__(self, address: Any, scheme: str) -> None:
        host = plain_address(str(getattr(address, "host", "")))
        self._visitor = Visitor("http", host, int(getattr(address, "port", 0) or 0))
        self._scheme = scheme
        self._host = self._forwarded = b""

    def visitor(self, name: str) -> Visitor:
        """The visitor of the tunnel of that name."""
        if self._visitor.name != name:
            self._visitor = Visitor("http", self._visitor.host, self._visitor.port, name)
        return self._visitor

    def forwarded(self, host: bytes) -> bytes:
        """The header lines that tell an upstream who asked for ``host``."""
        if self._host != host:
            self._host, self._forwarded = host, forwarded(self._visitor.host, self._scheme, host)
        return self._forwarded
