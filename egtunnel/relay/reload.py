"""A relay's configuration, read again while it runs: what can be applied is, the rest is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, Self

from twisted.python.usage import UsageError

from egtunnel.configuration import needs_restart
from egtunnel.errors import ConfigurationError
from egtunnel.relay.settings import RelaySettings

__all__ = ["LIVE", "TLS_FILES", "Reload"]

LIVE = frozenset(
    {
        *("client-ca", "plain-http", "tls-cert", "tls-dir", "tls-key", "tls-timeout", "udp-idle"),
        *("access-log", "access-log-format", "error-pages", "token-file", "trust"),
        *("hold", "reserve", "grace", "upgrade-grace", "resume-window", "memory", "session-memory"),
        *("max-channels", "max-clients", "max-handshake-rate", "max-handshakes", "max-per-address"),
        *("max-per-port", "max-visitors"),
        *("body-timeout", "head-timeout", "idle-timeout", "min-body-rate", "response-timeout", "write-timeout"),
    }
)
"""Options that are applied while the relay runs."""
TLS_FILES = frozenset({"client-ca", "tls-cert", "tls-dir", "tls-key"})
"""Of these, those that are not when they would begin or end TLS."""
ITSELF = frozenset({"config"})
"""Can only be on the command line, which stays."""


class Configuration(Protocol):
    """What there is to know of the tap's options."""

    settings: RelaySettings

    def again(self) -> Self:
        """Read them again."""

    def keys(self) -> Iterable[str]:
        """Their names."""

    def differing(self, other: Self, names: Iterable[str]) -> list[str]:
        """Those of another value."""


class Reload:
    """Reads the configuration again when it is called, and says what came of it.

    :param change: takes the new settings; may raise ConfigurationError.
    :param say: takes one line for a person.
    """

    def __init__(
        self, options: Configuration, change: Callable[[RelaySettings], None], say: Callable[[str], None]
    ) -> None:
        self._first = self._options = options
        self._change = change
        self._say = say

    def __call__(self) -> None:
        try:
            fresh = self._options.again()
            self._change(fresh.settings)
        except (UsageError, ConfigurationError) as error:
            self._say(f"reload: {getattr(error, 'text', None) or error}, nothing changed")
            return
        live = LIVE if bool(fresh.settings.tls) == bool(self._first.settings.tls) else LIVE - TLS_FILES
        changed = self._options.differing(fresh, live)
        options = f"changed {', '.join(f'--{option}' for option in changed)}" if changed else "no option changed"
        self._say(f"reload: {options}; files are read again")
        waiting = self._first.differing(fresh, set(self._first.keys()) - live - ITSELF)
        if waiting:
            self._say(needs_restart(waiting))
        self._options = fresh
