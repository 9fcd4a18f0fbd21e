"""Where the relay is: its URL, read once."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import attrs

from egtunnel.errors import ConfigurationError

__all__ = ["DEFAULT_LINK_PATH", "DEFAULT_RELAY", "RelayAddress", "parse_relay"]

DEFAULT_RELAY = "ws://localhost:7070"
DEFAULT_LINK_PATH = "/connect"
_SCHEMES = {"ws": False, "http": False, "wss": True, "https": True}


@attrs.frozen
class RelayAddress:
    """The relay's address: ``host`` without brackets, ``path`` the WebSocket's, ``secure`` for TLS."""

    host: str
    port: int
    path: str = DEFAULT_LINK_PATH
    secure: bool = False

    @property
    def url(self) -> str:
        """The URL of the link: always ``ws`` or ``wss``, always with port and path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}{self.path}"

    @property
    def loopback(self) -> bool:
        """Whether nothing sent there can leave this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_relay(text: str, link_path: str = "") -> RelayAddress:
    """Read ``ws``, ``wss``, ``http`` or ``https`` URLs; raises ``ConfigurationError``.

    A path in the URL wins over ``link_path``; with neither it is ``/connect``.
    """
    shown = repr(text[:200])
    try:
        url = urlsplit(text.strip())
        port = url.port
    except ValueError as error:
        raise ConfigurationError(f"relay {shown}: {error}") from error
    if url.scheme not in _SCHEMES or not url.hostname:
        raise ConfigurationError(
            f"relay {shown}: write it as wss://host, ws://host:port, https://host or http://host:port"
        )
    if url.username is not None or url.query or url.fragment:
        raise ConfigurationError("the relay's URL holds a user, a query or a fragment; it takes none of them")
    path = url.path if url.path not in ("", "/") else link_path or DEFAULT_LINK_PATH
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        raise ConfigurationError(f"link path {path[:200]!r}: it must start with / and hold no spaces")
    secure = _SCHEMES[url.scheme]
    host = _host(shown, url.hostname)
    if port == 0:
        raise ConfigurationError(f"relay {shown}: a port is a number from 1 to 65535")
    return RelayAddress(host, port or (443 if secure else 80), path, secure)


def _host(shown: str, host: str) -> str:
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ConfigurationError(f"relay {shown}: no host name") from error
    if not name.isprintable() or set(name) & set(" \\\"'<>"):
        raise ConfigurationError(f"relay {shown}: no host name")
    return name.lower().rstrip(".")
