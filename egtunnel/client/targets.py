"""What ``--local`` says: the words for a local service, read into a frozen target that can make a dialer."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from egtunnel.client.upstream import Upstream, UpstreamLimits, reach
from egtunnel.client.upstream_tls import TlsTrust, over_tls
from egtunnel.errors import ConfigurationError
from egtunnel.interfaces import Dialer

__all__ = ["Target", "parse_target"]

TEXT_LENGTH = 1000
_ENDPOINT_WORDS = frozenset({"tcp", "ssl", "tls", "unix"})
_HOST_PORT = re.compile(r"(?P<host>[^\s:/\[\]@]+|\[[^\s/\[\]@]+\]):(?P<port>[0-9]{1,5})", re.ASCII)
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?", re.ASCII)
_FORMS = (
    "8080, host:8080, http://host:port, https://host:port, h2c://host:port, unix:/path or a Twisted client endpoint"
)

MakeEndpoint = Callable[[Any, TlsTrust], IStreamClientEndpoint]


@attrs.frozen
class Target:
    """A local service, as the user named it.

    ``text`` is what to show, ``key`` a digest that stays the same for the same target (the relay gives the same name
    again for it), ``scheme`` is ``http`` or ``https``: what the service speaks if it speaks HTTP. ``protocol`` is
    ``h2c`` where that is HTTP/2 in the clear, else empty.
    """

    text: str
    key: str
    scheme: str
    make: MakeEndpoint = attrs.field(repr=False, eq=False)
    protocol: str = ""

    def dialer(self, reactor: Any, trust: TlsTrust | None = None, limits: UpstreamLimits | None = None) -> Dialer:
        """How to reach this target, the same for every visitor; raises ``ConfigurationError`` where it cannot work."""
        try:
            endpoint = self.make(reactor, trust or TlsTrust())
        except ConfigurationError:
            raise
        except Exception as error:  # endpoint parsers are plugins and raise what they like
            raise ConfigurationError(f"target {self.text!r}: {error}") from error
        upstream = Upstream(endpoint, reactor, limits or UpstreamLimits())
        return lambda _visitor: upstream


def parse_target(text: str) -> Target:
    """Read one of the forms of ``--local``; anything else raises ``ConfigurationError`` naming the forms."""
    text = text.strip()
    if not text or len(text) > TEXT_LENGTH or not text.isprintable():
        raise _unknown(text)
    if text.isascii() and text.isdigit():
        return _address(text, "localhost", text)
    if text.lower().startswith(("http://", "https://", "h2c://")):
        return _url(text)
    plain = _HOST_PORT.fullmatch(text)
    if plain is not None and plain["host"].lower() not in _ENDPOINT_WORDS:
        return _address(text, plain["host"].strip("[]"), plain["port"])
    if ":" not in text or text.startswith((":", "[")) or text == "unix:":
        raise _unknown(text)
    return _target(text, text, "http", lambda reactor, _trust: clientFromString(reactor, text))


def _unknown(text: str) -> ConfigurationError:
    return ConfigurationError(f"target {text[:80]!r} is none of {_FORMS}")


def _target(text: str, canonical: str, scheme: str, make: MakeEndpoint, protocol: str = "") -> Target:
    return Target(text, sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest(), scheme, make, protocol)


def _address(text: str, host: str, port_text: str) -> Target:
    host, port = _host(text, host), _port(text, port_text)
    return _target(text, f"tcp:{host}:{port}", "http", lambda reactor, _trust: reach(reactor, host, port))


def _url(text: str) -> Target:
    try:
        url = urlsplit(text)
        named = url.port
    except ValueError as error:
        raise ConfigurationError(f"target {text[:80]!r}: {error}") from error
    if not url.hostname or url.username is not None or url.path not in ("", "/") or url.query or url.fragment:
        raise ConfigurationError(f"target {text[:80]!r}: write it as {url.scheme}://host:port, with nothing else")
    if named is None and url.netloc.endswith(":"):
        raise ConfigurationError(f"target {text[:80]!r}: the port is missing")
    secure = url.scheme == "https"
    host, port = _host(text, url.hostname), _port(text, str((443 if secure else 80) if named is None else named))
    if not secure:
        protocol = "h2c" if url.scheme == "h2c" else ""
        key = f"{protocol or 'tcp'}:{host}:{port}"
        return _target(text, key, "http", lambda reactor, _trust: reach(reactor, host, port), protocol)
    return _target(
        text,
        f"https:{host}:{port}",
        "https",
        lambda reactor, trust: over_tls(reach(reactor, host, port), host, trust),
    )


def _host(text: str, host: str) -> str:
    """The host as an address or an ASCII name, lower case."""
    host = host.lower()
    try:
        return str(ip_address(host))
    except ValueError:
        pass  # not an address: then it must be a name
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ConfigurationError(f"target {text[:80]!r}: {host[:80]!r} is no host name") from error
    if not _HOST_NAME.fullmatch(name):
        raise ConfigurationError(f"target {text[:80]!r}: {host[:80]!r} is no host name")
    return name


def _port(text: str, port_text: str) -> int:
    port = int(port_text) if len(port_text) <= 5 else 0
    if not 0 < port < 65536:
        raise ConfigurationError(f"target {text[:80]!r}: a port is a number from 1 to 65535")
    return port
