"""A WebSocket over HTTP/2 towards an upstream that knows the handshake of HTTP/1 only (RFC 8441, RFC 6455)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from hmac import compare_digest

from egtunnel.ingress.http.headers import Fields

__all__ = ["Handshake"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handshake:
    """The key that HTTP/2 does without, made in the visitor's place, and the check of its answer."""

    __slots__ = ("key_field",)

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self.key_field = (b"Sec-WebSocket-Key", b64encode(random_bytes(16)))

    def accepted(self, fields: Fields) -> bool:
        """Whether a 101 with these fields answers our key (RFC 6455 section 4.1)."""
        digest = sha1(self.key_field[1] + _GUID, usedforsecurity=False).digest()
        answers = [value.strip(b" \t") for name, value in fields if name.lower() == b"sec-websocket-accept"]
        return len(answers) == 1 and compare_digest(answers[0], b64encode(digest))
