"""Time that never jumps: both daemons run their reactor on the monotonic clock."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["install_monotonic"]


def install_monotonic(reactor: Any) -> None:
    """Make every timer of ``reactor`` follow ``time.monotonic``; to be called before its first use.

    Twisted's timers follow the wall clock (twisted/twisted#2424, open since 2007): after a step of 20 s backwards no
    ``callLater`` fires for 20 s, heartbeats and time-outs included, and after a step forwards all of them fire at once.
    """
    reactor.seconds = time.monotonic
