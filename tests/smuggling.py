"""The table of requests made for smuggling (tests/vectors/smuggling.json); a strict reader of what comes through."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs

__all__ = ["CASES", "OUTCOMES", "THREATS", "Case", "Seen", "read_requests"]

OUTCOMES = ("refused", "cut", "one", "one, then refused", "two", "at most one")
"""What becomes of the bytes of a case.

``refused``: an error of the relay's own, then the end of the connection; nothing whole reaches the upstream.
``cut``: the visitor leaves in the middle; nothing whole reaches the upstream.
``one``: exactly one request does, and its answer is the only one. ``one, then refused``: what follows it is refused.
``two``: the bytes hold two requests in everybody's eyes; the second is ``/smuggled``.
``at most one``: the relay passes it on as one, and the upstream may refuse it by itself.
"""
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
TABLE = Path(__file__).with_name("vectors") / "smuggling.json"

_FIRST = re.compile(rb"[A-Z]+ [!-~\x80-\xff]+ HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ \t\x21-\x7e\x80-\xff]*)")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


@attrs.frozen
class Case:
    """One line of the table.

    ``request``: text whose characters are bytes (Latin-1), in pieces of which some are ``[text, times]``. In it stand
    ``{host}`` and ``{name}`` for those of the tunnel, ``{smuggled}`` for a second request, ``{size}`` for its length in
    hexadecimal, and ``{length}`` for the number of bytes behind the first empty line.
    ``target`` and ``body``: of the first request as the upstream gets it. ``status``: of the refusal.
    """

    family: str
    name: str
    request: str | list[Any]
    outcome: str
    target: str = "/v"
    body: str | None = None
    status: int = 400

    @property
    def title(self) -> str:
        return f"{self.family}: {self.name}"

    @property
    def to_head(self) -> bool:
        """Whether its first request is HEAD: the answer has no body."""
        return self.request[:5] == "HEAD "

    def bytes_for(self, name: str, host: str) -> bytes:
        """What the visitor sends to the tunnel ``name``, whose Host header is ``host``."""
        text = self._filled(self.request, name, host)
        length = len(text.partition("\r\n\r\n")[2])
        return text.replace("{length}", str(length)).encode("latin-1")

    def body_for(self, name: str, host: str) -> bytes | None:
        """The body of the first request as the upstream gets it; None: it does not matter."""
        return None if self.body is None else self._filled(self.body, name, host).encode("latin-1")

    @staticmethod
    def _filled(request: str | list[Any], name: str, host: str) -> str:
        pieces = [request] if isinstance(request, str) else request
        text = "".join(piece if isinstance(piece, str) else piece[0] * piece[1] for piece in pieces)
        size = len(SMUGGLED.replace("{host}", host))
        text = text.replace("{smuggled}", SMUGGLED).replace("{size}", f"{size:x}")
        return text.replace("{host}", host).replace("{name}.localhost", host.partition(":")[0]).replace("{name}", name)


CASES = [Case(**line) for line in json.loads(TABLE.read_text())]
THREATS = [
    Case(
        "threat model",
        line["name"],
        line["request"],
        "one" if line["answer"] == 200 else "refused",
        status=line["answer"],
    )
    for line in json.loads(TABLE.with_name("http_requests.json").read_text())[:27]
]
"""The 27 requests that the threat model names."""


@attrs.frozen
class Seen:
    """One whole request as an upstream reads it."""

    target: str
    body: bytes


def read_requests(data: bytes) -> tuple[list[Seen], bytes]:
    """The whole requests in ``data``, by the letter of RFC 9112, and the rest. An AssertionError for what is none."""
    found: list[Seen] = []
    while (head := data.partition(b"\r\n\r\n"))[1]:
        first, *lines = head[0].split(b"\r\n")
        assert _FIRST.fullmatch(first), first
        fields = [_field(line) for line in lines]
        lengths = [value for name, value in fields if name == b"content-length"]
        codings = [value for name, value in fields if name == b"transfer-encoding"]
        assert [name for name, _ in fields].count(b"host") == 1, lines
        assert len(lengths) + len(codings) < 2, lines
        assert codings in ([], [b"chunked"])
        body, rest = _chunks(head[2]) if codings else _counted(head[2], int(lengths[0]) if lengths else 0)
        if body is None:
            break
        found.append(Seen(first.split(b" ")[1].decode("latin-1"), body))
        data = rest
    return found, data


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    assert match, line
    return match[1].lower(), match[2]


def _counted(data: bytes, size: int) -> tuple[bytes | None, bytes]:
    return (data[:size], data[size:]) if len(data) >= size else (None, b"")


def _chunks(data: bytes) -> tuple[bytes | None, bytes]:
    body = b""
    while True:
        line, separator, data = data.partition(b"\r\n")
        if not separator:
            return None, b""
        assert _SIZE.fullmatch(line), line
        size = int(line, 16)
        if not size:
            break
        if len(data) < size + 2:
            return None, b""
        assert data[size : size + 2] == b"\r\n", data[size : size + 2]
        body, data = body + data[:size], data[size + 2 :]
    while True:
        line, separator, data = data.partition(b"\r\n")
        if not separator:
            return None, b""
        if not line:
            return body, data
        _field(line)
