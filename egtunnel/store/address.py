"""Where a store is: a file, or the URL of a PostgreSQL database. Its password is never shown."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import attrs

from egtunnel.errors import ConfigurationError

__all__ = ["FILE_NAME", "StoreAddress", "parse_store_address"]

FILE_NAME = "store.sqlite3"
SCHEMES = ("postgresql", "postgres")
SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
PARAMETERS = frozenset(
    "application_name channel_binding host passfile port require_auth sslcert sslcrl sslkey sslmode sslnegotiation "
    "sslrootcert target_session_attrs".split()
)
"""What libpq takes that may stand in a URL; ``options`` may not, since a pooler refuses it."""
DROPPED = frozenset({"pgbouncer", "supa"})
"""Marks in the URLs that hosted databases show for other programs."""


@attrs.frozen
class StoreAddress:
    """A place for a store: ``file`` for SQLite, else ``url`` of PostgreSQL. ``shown`` is fit for logs."""

    shown: str
    file: Path | None = None
    url: str = attrs.field(default="", repr=False)

    def without_secrets(self, text: str) -> str:
        """A text of the database or its driver with the password taken out, plain or as it stands in the URL."""
        written = urlsplit(self.url).password or ""
        for secret in {written, unquote(written)} - {""}:
            text = text.replace(secret, "***")
        return text


def parse_store_address(text: str, folder: Path) -> StoreAddress:
    """The address that an option names; empty: the file ``store.sqlite3`` in the state folder.

    :param text: ``postgresql://user:password@host/database?sslmode=verify-full``, or ``sqlite:///path``.
    :raises ConfigurationError: without a word of the text, which may hold a password.
    """
    if not text:
        file = folder / FILE_NAME
        return StoreAddress(str(file), file)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigurationError("the address of the store is no URL") from None
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1 and not parts.query:
        file = Path(unquote(parts.path))
        return StoreAddress(str(file), file)
    if parts.scheme not in SCHEMES:
        raise ConfigurationError("the address of the store begins with neither postgresql:// nor sqlite:///")
    if len(parts.path) < 2 or "/" in parts.path[1:]:
        raise ConfigurationError("the address of the store names no database: postgresql://user@host/database")
    query = _query(parts.query, parts.hostname or "")
    url = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query), ""))
    place = parts.hostname or query.get("host", "localhost")
    place = f"[{place}]" if ":" in place else place
    return StoreAddress(f"postgresql://{place}{f':{port}' if port else ''}{parts.path}", None, url)


def _query(text: str, host: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    query = {name: value for name, value in pairs if name not in DROPPED}
    if unknown := query.keys() - PARAMETERS:
        raise ConfigurationError(f"the address of the store has unknown parameters: {', '.join(sorted(unknown))}")
    if query.setdefault("sslmode", "prefer" if _near(query.get("host", host)) else "require") not in SSL_MODES:
        raise ConfigurationError(f"sslmode of the store is one of {', '.join(sorted(SSL_MODES))}")
    return query


def _near(host: str) -> bool:
    """A socket file or loopback: nobody listens between. To all else the default is TLS, never a silent fall back."""
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
