"""Signals of the operating system as calls in the reactor's thread."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

__all__ = ["Signals"]


class Signals:
    """Has a call made when a signal comes, in place of what would be done else.

    Only of use in the main thread; elsewhere Python has no signals, and nothing happens.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def on(self, call: Callable[[], object], *numbers: signal.Signals) -> None:
        """Make ``call`` on each of these from now on."""
        for number in numbers:
            try:
                signal.signal(number, lambda *_: self._reactor.callFromThread(call))
            except ValueError:
                return
