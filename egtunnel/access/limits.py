"""Every size, count and wait of the rules for visitors that a claim or a visitor could otherwise choose."""

from __future__ import annotations

import attrs

__all__ = ["AccessLimits"]


@attrs.frozen
class AccessLimits:
    """Times in seconds, sizes in bytes.

    In a claim: ``networks``: of one list. ``users``: with passwords, ``keys``: of one tunnel. ``bcrypt_cost``,
    ``argon2_memory`` (KiB), ``argon2_passes``, ``argon2_lanes``: what a hash may ask for.

    Passwords: ``credentials``: a user's name and password. ``threads``: hashes that are worked out at once in the whole
    process, ``waiting``: and that wait for it, ``waiting_of_one``: for one address. ``remembered``: right ones of one
    tunnel that need no hash again for ``remember``. ``wrong``: of one address at one tunnel within ``wrong_window``;
    then it is told to wait.

    Tokens of other issuers: ``token``: one. ``tokens``: good ones of one tunnel that are known again for
    ``token_age``. ``leeway``: difference of clocks.

    What the relay fetches: ``fetch``: a whole answer, in ``fetch_wait``. ``keys_fresh``: then keys are fetched again;
    ``keys_kept``: good as long as that fails. ``keys_again``: not earlier than this, whatever visitors ask for.
    """

    networks: int = 200
    users: int = 100
    keys: int = 100
    bcrypt_cost: int = 14
    argon2_memory: int = 131_072
    argon2_passes: int = 10
    argon2_lanes: int = 8

    credentials: int = 1_024
    threads: int = 2
    waiting: int = 64
    waiting_of_one: int = 8
    remembered: int = 1_000
    remember: float = 300.0
    wrong: int = 20
    wrong_window: float = 60.0

    token: int = 8_192
    tokens: int = 1_000
    token_age: float = 60.0
    leeway: float = 30.0

    fetch: int = 262_144
    fetch_wait: float = 10.0
    keys_fresh: float = 600.0
    keys_kept: float = 86_400.0
    keys_again: float = 60.0
