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

from egtunnel.client.files import Files, folder_of
from egtunnel.client.proxy_header import Announced
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
    "8080, host:8080, http://host:port, https://host:port, h2c://host:port, unix:/path, file:/folder "
    "or a Twisted client endpoint"
)

MakeEndpoint = Callable[[Any], IStreamClientEndpoint]


@attrs.frozen
class Target:
    """A local service, as the user named it.

    ``text`` is what to show, ``key`` a digest that stays the same for the same target (the relay gives the same name
    again for it), ``scheme`` is ``http`` or ``https``: what the service speaks if it speaks HTTP. ``protocol`` is
    ``h2c`` where that is HTTP/2 in the clear, else empty. ``secure_host``: for whom its certificate has to be, empty:
    there is no TLS. ``folder``: it is the files there, shown with a ``listing`` or without. ``address``: host and
    port, where it is nothing but that.
    """

    text: str
    key: str
    scheme: str
    make: MakeEndpoint = attrs.field(repr=False, eq=False)
    protocol: str = ""
    secure_host: str = ""
    folder: str = ""
    listing: bool = False
    address: tuple[str, int] | None = None

    def dialer(
        self,
        reactor: Any,
        trust: TlsTrust | None = None,
        limits: UpstreamLimits | None = None,
        announce: str = "",
    ) -> Dialer:
        """How to reach this target; raises ``ConfigurationError`` where it cannot work.

        :param announce: the PROXY protocol that tells it who each visitor is, ``v1`` or ``v2``; empty: none.
        """
        try:
            endpoint = self.make(reactor)
        except ConfigurationError:
            raise
        except Exception as error:  # endpoint parsers are plugins and raise what they like
            raise ConfigurationError(f"target {self.text!r}: {error}") from error
        limits = limits or UpstreamLimits()
        secured = over_tls(self.secure_host, trust or TlsTrust()) if self.secure_host else _as_it_is
        if announce:
            return lambda visitor: Upstream(secured(Announced(endpoint, announce, visitor)), reactor, limits)
        upstream = Upstream(secured(endpoint), reactor, limits)
        return lambda _visitor: upstream


def _as_it_is(endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
    return endpoint


def parse_target(text: str, listing: bool = False) -> Target:
    """Read one of the forms of ``--local``; anything else raises ``ConfigurationError`` naming the forms.

    :param listing: of files, show also what is in folders without an index page.
    """
    text = text.strip()
    if text.lower().startswith("file:"):
        folder = folder_of(text)
        key = sha256(f"file:{folder}".encode("utf-8", "surrogatepass")).hexdigest()
        return Target(
            text, key, "http", lambda reactor: Files(reactor, folder, listing), folder=str(folder), listing=listing
        )
    if listing:
        raise ConfigurationError("--listing is for folders: give --local file:/folder")
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
    return _target(text, text, lambda reactor: clientFromString(reactor, text))


def _unknown(text: str) -> ConfigurationError:
    return ConfigurationError(f"target {text[:80]!r} is none of {_FORMS}")


def _target(text: str, canonical: str, make: MakeEndpoint, protocol: str = "", secure_host: str = "") -> Target:
    key = sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return Target(text, key, "https" if secure_host else "http", make, protocol, secure_host)


def _address(text: str, host: str, port_text: str) -> Target:
    host, port = _host(text, host), _port(text, port_text)
    target = _target(text, f"tcp:{host}:{port}", lambda reactor: reach(reactor, host, port))
    return attrs.evolve(target, address=(host, port))


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
        return _target(text, key, lambda reactor: reach(reactor, host, port), protocol)
    return _target(text, f"https:{host}:{port}", lambda reactor: reach(reactor, host, port), secure_host=host)


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
