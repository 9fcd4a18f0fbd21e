"""Python's collector of cycles, tuned for a daemon that holds much and makes few cycles."""

from __future__ import annotations

import gc

__all__ = ["collect_seldom"]

YOUNG = 20_000
"""Objects more than were freed, until the youngest are looked through; Python's own 700 are a few requests' worth."""


def collect_seldom() -> None:
    """Leave alone what is there already, which is there to stay, and look through the rest less often.

    What a request needs is freed by its reference counts; the collector only finds that out, again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
