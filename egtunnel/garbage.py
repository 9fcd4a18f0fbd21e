"""Python's collector of cycles, tuned for a daemon that holds much and makes few cycles."""

from __future__ import annotations

import gc

__all__ = ["collect_seldom"]

YOUNG = 2_000
"""Objects more than were freed, until the youngest are looked through; Python's own 700 are a few requests' worth. A
channel that is over is a cycle, so with many more a peer that opens channels without end would cost much memory."""
OLDER = 5
"""After so many times the older ones are looked through, too; Python's own is 10."""


def collect_seldom() -> None:
    """Leave alone what is there already, which is there to stay, and look through the rest less often.

    What a request needs is freed by its reference counts; the collector only finds that out, again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDER)
