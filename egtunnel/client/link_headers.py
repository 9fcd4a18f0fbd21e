"""What the WebSocket request of a link says besides: headers and a Host for whatever stands before the relay. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from egtunnel.client.relay_address import RelayAddress
from egtunnel.errors import ConfigurationError

__all__ = ["LinkHeaders", "read_link_headers"]

MOST = 64
LONGEST = 4_096
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}(?::[0-9]{1,5})?", re.ASCII)
_OURS = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})


@attrs.frozen
class LinkHeaders:
    """``fields`` go with the request, names and values, which may be secret. ``host``: its Host; empty: the relay's."""

    fields: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    host: str = ""

    def url(self, relay: RelayAddress) -> str:
        """The URL that the request is made of; where it goes, and whose certificate is wanted, is the relay's own."""
        if not self.host:
            return relay.url
        name, _, port = self.host.partition(":")
        return attrs.evolve(relay, host=name, port=int(port) if port else relay.port).url


def read_link_headers(lines: Sequence[str], host: str) -> LinkHeaders:
    """From ``--link-header 'Name: value'`` and ``--link-host``. Raises ``ConfigurationError``, which shows no value."""
    fields = []
    for line in lines[: MOST + 1]:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if not colon or not _TOKEN.fullmatch(name) or not value.isascii() or not value.isprintable():
            raise ConfigurationError("--link-header: it must be a header as 'Name: value'")
        if name.lower() in _OURS or name.lower().startswith("sec-websocket"):
            more = "; use --link-host" if name.lower() == "host" else ""
            raise ConfigurationError(f"--link-header {name}: the WebSocket says that itself{more}")
        if len(value) > LONGEST:
            raise ConfigurationError(f"--link-header {name}: a value has at most {LONGEST} characters")
        fields.append((name, value))
    if len(fields) > MOST:
        raise ConfigurationError(f"--link-header: at most {MOST}")
    if host and not _HOST.fullmatch(host):
        raise ConfigurationError("--link-host: it must be a host name, perhaps with a port")
    return LinkHeaders(tuple(fields), host.lower())
