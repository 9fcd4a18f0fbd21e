"""Every size, count and wait of shares that a visitor or an owner could otherwise choose."""

from __future__ import annotations

import attrs

__all__ = ["SharingLimits"]


@attrs.frozen
class SharingLimits:
    """Times in seconds.

    ``known``: shares that are remembered, each for ``fresh`` before the store is asked again, and while that is away
    for ``stale``. ``sweep``: between two looks for what has expired. ``cookie``: the longest time a browser stays let
    in. ``ticket``: to come from the link to the tunnel's own host. ``passphrase``: characters of the form that holds
    one. ``unknown``: links that are none, and ``wrong``: passphrases for one share, of one
    address within ``wrong_window``; then it is told to wait.
    ``of_owner``: shares of one owner that stand. ``kept``: those that are over, until they are forgotten.
    """

    known: int = 10_000
    fresh: float = 300.0
    stale: float = 86_400.0
    sweep: float = 0.5
    cookie: int = 2_592_000
    ticket: float = 60.0
    passphrase: int = 2_048
    unknown: int = 100
    wrong: int = 20
    wrong_window: float = 60.0
    of_owner: int = 10_000
    kept: int = 2_592_000
