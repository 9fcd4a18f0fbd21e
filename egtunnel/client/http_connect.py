"""A way through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6), with Basic authentication (RFC 7617). Pure."""

from __future__ import annotations

import re
from base64 import b64encode

from egtunnel.client.way import ProxyRefused

__all__ = ["LONGEST_HEAD", "ConnectRequest"]

LONGEST_HEAD = 16_384
"""Bytes of a proxy's answer."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r?\n")
_END = re.compile(rb"\r?\n\r?\n")
_ADVICE = {
    403: "it does not let us through to there; another port, 443 say, may be allowed",
    407: "it wants a login: give it as http://user:password@host:port",
    502: "it cannot reach the relay",
    503: "it cannot reach the relay",
    504: "it cannot reach the relay in time",
}


class ConnectRequest:
    """Asks for a host and port; ``user`` empty: without a login."""

    def __init__(self, host: str, port: int, user: str = "", password: str = "") -> None:
        self.rest: bytes | None = None
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._login = b64encode(f"{user}:{password}".encode()).decode("ascii") if user else ""
        self._data = b""

    def begin(self) -> bytes:
        """The request."""
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        if self._login:
            lines.append(f"Proxy-Authorization: Basic {self._login}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def received(self, data: bytes) -> bytes:
        """The answer, in any pieces. Raises ProxyRefused."""
        self._data += data
        end = _END.search(self._data)
        if end is None:
            if len(self._data) > LONGEST_HEAD or not (self._data.startswith(b"HTTP/1.") or len(self._data) < 8):
                raise ProxyRefused("what answers is no HTTP proxy")
            return b""
        status = _STATUS.match(self._data)
        if status is None:
            raise ProxyRefused("what answers is no HTTP proxy")
        code = int(status[1])
        if code // 100 != 2:
            reason = "".join(letter if letter.isprintable() else "?" for letter in (status[2] or b"").decode("latin-1"))
            words = f"it answered {code} {reason[:80]}".rstrip()
            login = "; it does not accept this login" if code == 407 and self._login else ""
            advice = login or (f"; {_ADVICE[code]}" if code in _ADVICE else "")
            raise ProxyRefused(words + advice)
        self.rest, self._data = self._data[end.end() :], b""
        return b""
