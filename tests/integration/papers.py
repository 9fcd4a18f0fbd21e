"""Certificates for a relay that ends TLS itself, for its visitors and for clients that have to show one."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from tests.client.certificates import Authority
from tests.integration.daemons import PATIENCE

__all__ = ["Papers"]


class Papers:
    """An authority and, signed by it, the certificate of a relay: good for ``domain`` and all names below it.

    Clients and visitors of the test come by the loopback address, so the certificate is good for that, too.
    """

    domain = "relay.example"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "papers"
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.ca = self.authority.file
        self.cert, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        self.issue(self.domain, f"*.{self.domain}", "localhost", "127.0.0.1")

    def issue(self, *names: str, days: float = 1) -> None:
        """A new certificate for the relay in the place of the old one."""
        certificate, key = self.authority.pair(*names, days=days)
        self.key.touch(mode=0o600)
        self.key.write_bytes(key)
        self.cert.write_bytes(certificate)

    @property
    def relay_options(self) -> list[str]:
        """What makes a relay one for ``domain``, with TLS."""
        files = ["--tls-cert", str(self.cert), "--tls-key", str(self.key)]
        return ["--domain", self.domain, "--interface", "127.0.0.1", *files]

    def own(self, name: str = "own", authority: Authority | None = None) -> Path:
        """A file with a client's certificate and key, signed by our authority or another."""
        file = self.folder / f"{name}.pem"
        file.touch(mode=0o600)
        file.write_bytes(b"".join((authority or self.authority).pair("client.example")))
        return file

    def stranger(self) -> Authority:
        """An authority that nobody here believes."""
        folder = self.folder / "stranger"
        folder.mkdir()
        return Authority(folder)

    def context(self) -> ssl.SSLContext:
        """TLS of a visitor who believes our authority, and no other."""
        return ssl.create_default_context(cafile=str(self.ca))

    def curl_options(self, port: int) -> list[str]:
        """For a curl that knows no name server and believes our authority."""
        return ["--cacert", str(self.ca), "--resolve", f"*:{port}:127.0.0.1"]

    def visit(self, url: str, timeout: float = PATIENCE) -> http.client.HTTPConnection:
        """A visitor's connection to a public https URL, with HTTP/1.1."""
        place = urlsplit(url)
        assert place.scheme == "https", url
        assert place.hostname is not None, url
        connection = http.client.HTTPConnection(place.netloc, timeout=timeout)
        plain = socket.create_connection(("127.0.0.1", place.port or 443), timeout)
        connection.sock = self.context().wrap_socket(plain, server_hostname=place.hostname)
        return connection
