"""SIGHUP: what a daemon does when it is asked to read its configuration again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning

__all__ = ["Hangup"]

CONTROLLING_TERMINAL = "/dev/tty"


class Hangup(Service):
    """Calls ``reload`` in the reactor's own time for each SIGHUP, from the start of the service to its stop.

    Who closes a terminal sends the same signal to what runs in it: that is stopped then, as it always was, unless it
    was told to ignore the signal (``nohup``). To be started in the main thread, which alone may set signals.

    :param terminal: whether there is a controlling terminal.
    """

    name = "hangup"

    def __init__(self, reactor: Any, reload: Callable[[], None], terminal: Callable[[], bool] | None = None) -> None:
        self._reactor = reactor
        self._reload = reload
        self._terminal = terminal or _has_terminal
        self._within = False
        self._before: Any = None

    def startService(self) -> None:
        """Take the signal."""
        super().startService()
        self._before = signal.signal(signal.SIGHUP, self._signalled)
        self._within = self._before != signal.SIG_IGN and self._terminal()

    def stopService(self) -> None:
        """Leave it to whoever had it."""
        super().stopService()
        signal.signal(signal.SIGHUP, self._before)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._hung_up)

    def _hung_up(self) -> None:
        if not self.running:
            return
        if self._within and not self._terminal():
            with suppress(ReactorNotRunning):  # it is being stopped already
                self._reactor.stop()
        else:
            self._reload()


def _has_terminal() -> bool:
    try:
        os.close(os.open(CONTROLLING_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
