"""What goes wrong, as problem details (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

__all__ = ["MIME", "Problem", "problem_of", "send_json"]

MIME = b"application/problem+json"


class Problem(Exception):
    """An answer that says no. ``word``: the reason, for programs; ``text``: for people."""

    def __init__(self, status: int, word: str, text: str, **fields: str) -> None:
        super().__init__(text)
        self.status = status
        self.word = word
        self.text = text
        self.fields = fields

    def to_json(self) -> dict[str, Any]:
        """Its members (RFC 9457 section 3.1), and our word."""
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.text, "word": self.word}


def send_json(request: Any, status: int, value: object, mime: bytes = b"application/json") -> bytes:
    """Set status and headers; returns the body."""
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", mime)
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    return b"" if status == 204 else json.dumps(value, sort_keys=True).encode() + b"\n"


def problem_of(request: Any, problem: Problem) -> bytes:
    """The answer for a problem."""
    for name, value in problem.fields.items():
        request.setHeader(name.replace("_", "-").encode("ascii"), value.encode("ascii"))
    return send_json(request, problem.status, problem.to_json(), MIME)
