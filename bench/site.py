"""Where a contender's visitors go."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

__all__ = ["TLS_NAME", "Site"]

TLS_NAME = "localhost"


@frozen
class Site:
    """A public address of the upstream.

    :ivar host_header: the Host that visitors name; an HTTP tunnel routes by it
    :ivar speaks_http: whether the relay reads HTTP itself, rather than passing bytes
    :ivar authority: the file of the authority to believe where visitors speak TLS; ``None``: they do not
    """

    port: int
    host_header: str
    speaks_http: bool = False
    address: str = "127.0.0.1"
    authority: Path | None = None

    def url(self, path: str = "/") -> str:
        """The URL of a path, by address; the Host header goes beside it.

        With TLS by ``TLS_NAME``: a certificate is for a name, and wrk would send an address as one.
        """
        if self.authority is not None:
            return f"https://{TLS_NAME}:{self.port}{path}"
        return f"http://{self.address}:{self.port}{path}"

    def request(self, path: str = "/") -> bytes:
        """A keep-alive GET, ready to be sent."""
        return f"GET {path} HTTP/1.1\r\nHost: {self.host_header}\r\n\r\n".encode()
