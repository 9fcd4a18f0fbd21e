"""A client's configuration, read again while it runs: the tunnels are applied, other options need a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, Self

from twisted.python.usage import UsageError

from egtunnel.client.offering import Difference
from egtunnel.client.offers import Offer
from egtunnel.client.tunnel_tables import TUNNEL_FLAGS, TUNNEL_PARAMETERS
from egtunnel.configuration import needs_restart
from egtunnel.errors import ConfigurationError

__all__ = ["LIVE", "Reload"]

LIVE = frozenset(str(row[0]) for row in (*TUNNEL_PARAMETERS, *TUNNEL_FLAGS))
"""Options that are applied while the client runs: those of a tunnel."""
ITSELF = frozenset({"config"})
"""Can only be on the command line, which stays."""


class Configuration(Protocol):
    """What there is to know of the tap's options."""

    offers: list[Offer]

    def again(self) -> Self:
        """Read them again."""

    def keys(self) -> Iterable[str]:
        """Their names."""

    def differing(self, other: Self, names: Iterable[str]) -> list[str]:
        """Those of another value."""


class Reload:
    """Reads the configuration again when it is called, and says what came of it.

    :param change: takes the new offers, returns the difference to those before; may raise ConfigurationError.
    :param say: takes one line for a person.
    """

    def __init__(
        self, options: Configuration, change: Callable[[Sequence[Offer]], Difference], say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._change = change
        self._say = say

    def __call__(self) -> None:
        try:
            fresh = self._options.again()
            found = self._change(fresh.offers)
        except (UsageError, ConfigurationError) as error:
            self._say(f"reload: {getattr(error, 'text', None) or error}, nothing changed")
            return
        for line in _lines(found):
            self._say(line)
        waiting = self._options.differing(fresh, set(self._options.keys()) - LIVE - ITSELF)
        if waiting:
            self._say(needs_restart(waiting))


def _lines(found: Difference) -> Iterator[str]:
    if not found:
        yield "reload: nothing changed"
    for word, offers in (("removed", found.removed), ("changed", found.changed), ("added", found.added)):
        for offer in offers.values():
            yield f"{word} {offer.wish}"
