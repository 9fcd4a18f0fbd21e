"""Every count, size and wait of the store."""

from __future__ import annotations

import attrs

__all__ = ["StoreLimits"]


@attrs.frozen
class StoreLimits:
    """Times in seconds.

    ``threads``: that wait for the database, each with one connection. ``waiting``: calls that are not answered yet;
    more fail at once. ``answer``: until a call fails that has no answer; ``opening``: the same for opening the store,
    changes of its tables included. ``connect``: to a new connection. ``lock``: wait for another writer. ``recycle``:
    age at which a connection to PostgreSQL is replaced. ``first_retry`` and ``last_retry``: the waits between two looks
    whether a store that went away is back. ``audit``: rows of the audit log that are kept, each for ``audit_age`` at
    most. ``batch``: refusals, uses of tokens and sums of usage that wait to be written, of each; ``interval``: until
    they are.
    """

    threads: int = 4
    waiting: int = 1_000
    answer: float = 10.0
    opening: float = 300.0
    connect: float = 5.0
    lock: float = 5.0
    recycle: float = 1_800.0
    first_retry: float = 0.25
    last_retry: float = 15.0
    audit: int = 100_000
    audit_age: int = 7_776_000
    batch: int = 1_000
    interval: float = 2.0
