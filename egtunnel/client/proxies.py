"""Which proxy stands between us and a relay: by an option, or by variables that other programs follow, too. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

import attrs

from egtunnel.client.relay_address import RelayAddress
from egtunnel.errors import ConfigurationError

__all__ = ["NONE", "Proxy", "parse_proxy", "proxy_for"]

NONE = "none"
"""What ``--proxy`` says where there is to be none, whatever the variables say."""
PORTS = {"http": 3128, "https": 443, "socks5": 1080, "socks5h": 1080}
LONGEST = 255
"""Bytes of a user name or password (RFC 1929 section 2)."""


@attrs.frozen
class Proxy:
    """``kind``: ``http``, ``https`` (HTTP with CONNECT, within TLS) or ``socks5``. The name of the relay is always
    looked up by the proxy.
    """

    kind: str
    host: str
    port: int
    user: str = ""
    password: str = attrs.field(default="", repr=False)

    @property
    def shown(self) -> str:
        """Where it is, for people; without its password."""
        return f"{self.kind}://{_bracketed(self.host)}:{self.port}"


def parse_proxy(text: str) -> Proxy:
    """Read ``http://``, ``https://`` or ``socks5://[user:password@]host[:port]``; raises ``ConfigurationError``."""
    text = text.strip()
    if not text.isprintable():
        raise _unreadable()
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError:
        raise _unreadable() from None
    if (
        url.scheme not in PORTS
        or not url.hostname
        or url.path not in ("", "/")
        or url.query
        or url.fragment
        or port == 0
    ):
        raise _unreadable()
    user, password = unquote(url.username or ""), unquote(url.password or "")
    if max(len(user.encode()), len(password.encode())) > LONGEST or ":" in user or not (user + password).isprintable():
        raise ConfigurationError("the proxy's user or password cannot be one")
    try:
        host = url.hostname.encode("idna").decode("ascii")
    except UnicodeError:
        raise _unreadable() from None
    if not host.isprintable() or set(host) & set(" \\\"'<>"):
        raise _unreadable()
    return Proxy(url.scheme.removesuffix("h"), host, port or PORTS[url.scheme], user, password)


def _unreadable() -> ConfigurationError:
    return ConfigurationError("--proxy: write it as http://host:port, https://host:port or socks5://host:port")


def proxy_for(relay: RelayAddress, given: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy on the way to a relay; None: there is none. Raises ``ConfigurationError``.

    :param given: what ``--proxy`` says; empty: nothing. Then ``HTTPS_PROXY`` counts for relays over TLS, ``HTTP_PROXY``
        for others, ``ALL_PROXY`` for both, unless the relay is on this machine or ``NO_PROXY`` names it.
    """
    if given:
        return None if given.lower() == NONE else parse_proxy(given)
    if relay.loopback or _exempt(relay, _variable(environ, "no_proxy")):
        return None
    value = _variable(environ, "https_proxy" if relay.secure else "http_proxy") or _variable(environ, "all_proxy")
    return parse_proxy(value) if value else None


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def _exempt(relay: RelayAddress, no_proxy: str) -> bool:
    return any(_names(entry, relay) for entry in no_proxy.replace(",", " ").split())


def _names(entry: str, relay: RelayAddress) -> bool:
    """Whether an entry of NO_PROXY is for the relay: ``*``, a domain, an address, a network; perhaps with a port."""
    if entry == "*":
        return True
    try:
        return ip_address(relay.host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of the two is a name, or there is a port
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return int(port[:6]) == relay.port and _names(host, relay)
    domain = entry.lower().strip(".").removeprefix("*.")
    return bool(domain) and (relay.host == domain or relay.host.endswith(f".{domain}"))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
