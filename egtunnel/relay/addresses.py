"""What people are shown: the public URL of each tunnel, and the line that connects a client."""

from __future__ import annotations

import shlex
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import attrs

__all__ = ["VISIT", "Addresses", "is_local", "is_loopback", "parse_public_url"]

VISIT = "private://"
"""How the address of what a client visits begins; it is nobody else's."""
PORTS = {"http": 80, "https": 443}
LINKS = {"http": "ws", "https": "wss"}


def is_local(domain: str) -> bool:
    """Whether a domain means the machine itself, for every browser and resolver (RFC 6761 section 6.3)."""
    return domain == "localhost" or domain.endswith(".localhost")


def parse_public_url(text: str) -> tuple[str, str, int]:
    """Scheme, host and port of ``http(s)://host[:port]``. Raises ValueError."""
    url = urlsplit(text)
    if url.scheme not in PORTS or not url.hostname or url.username is not None:
        raise ValueError("it must be written as https://host or http://host:port")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("it must have no path")
    if url.port == 0:
        raise ValueError("a port is a number from 1 to 65535")
    return url.scheme, url.hostname, url.port or PORTS[url.scheme]


@attrs.frozen
class Addresses:
    """Where the relay is for the world: ``scheme`` and ``port`` are what visitors use, be it a TLS proxy's."""

    domain: str
    scheme: str
    port: int
    link_path: str = "/connect"

    @property
    def _port(self) -> str:
        return "" if self.port == PORTS[self.scheme] else f":{self.port}"

    def name_url(self, name: str) -> str:
        """The public URL of a name."""
        return f"{self.scheme}://{name}.{self.domain}{self._port}"

    def host_url(self, host: str) -> str:
        """The public URL of a custom host."""
        return f"{self.scheme}://{host}{self._port}"

    def tcp_url(self, port: str) -> str:
        """The public address of a TCP tunnel."""
        return f"tcp://{self.domain}:{port}"

    def udp_url(self, port: str) -> str:
        """The public address of a UDP tunnel."""
        return f"udp://{self.domain}:{port}"

    def tls_url(self, host: str) -> str:
        """The public address of a TLS tunnel."""
        return f"tls://{host}:{self.port}"

    def name_host(self, name: str) -> str:
        """The whole host name of a name."""
        return f"{name}.{self.domain}"

    def relay_url(self, link_path: str) -> str:
        """What a client needs as ``--relay``; a path only where it is not the usual one."""
        path = "" if self.link_path == link_path else self.link_path
        return f"{LINKS[self.scheme]}://{self.domain}{self._port}{path}"

    def client_line(self, token_file: Path, found: Path) -> str:
        """The exact line that connects a client; the token itself is not in it.

        On this machine a client gets by with the file's name, or without where it is ``found``, the one that clients
        look for by themselves; from another machine the token is fetched over ssh.
        """
        token = shlex.quote(str(token_file))
        if not is_local(self.domain):
            return f"EGTUNNEL_TOKEN=$(ssh {self.domain} cat {token}) {self.public_line()}"
        return self._line("" if token_file == found else f"--token-file {token}")

    def public_line(self) -> str:
        """The same line for everybody to read: it does not say where the token is."""
        return self._line("")

    def _line(self, token: str) -> str:
        local = is_local(self.domain)
        usual = local and self.relay_url("/connect") == "ws://localhost:7070"
        relay = "" if usual else f"--relay {self.relay_url('/connect')}"
        insecure = "--insecure" if not local and self.scheme == "http" else ""
        words = ["twistd -n egclient", relay, token, insecure, "--local 8080"]
        return " ".join(word for word in words if word)


def is_loopback(interface: str) -> bool:
    """Whether what listens there is reached from this machine only."""
    try:
        return ip_address(interface).is_loopback
    except ValueError:
        return False
