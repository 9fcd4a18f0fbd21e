"""Every size, count and wait of logins that a claim, a provider or a visitor could otherwise choose."""

from __future__ import annotations

import attrs

__all__ = ["LoginLimits"]


@attrs.frozen
class LoginLimits:
    """Times in seconds, sizes in bytes.

    ``allowed``, ``scopes``: entries of a claim. ``login``: from the first page to the way back, ``session``: how long
    one who came back stays in. ``target``: of the page that was asked for; a longer one is forgotten. ``token``: of an
    ID token. ``known``: visitors of one tunnel whose cookie need not be opened again. ``exchanges``: ways back at once,
    of one tunnel. ``fresh``: then what is known of a provider is fetched again; ``kept``: good as long as that fails.
    ``again``: not earlier than this, whatever visitors do.
    """

    allowed: int = 200
    scopes: int = 10
    login: float = 600.0
    session: float = 28_800.0
    target: int = 2_048
    token: int = 32_768
    known: int = 1_000
    exchanges: int = 20
    fresh: float = 3_600.0
    kept: float = 86_400.0
    again: float = 5.0
