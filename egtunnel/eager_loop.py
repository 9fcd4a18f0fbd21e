"""The reactor's loop, shortened: all that reaches into Twisted's epoll reactor.

Twisted runs every event through four frames that say for the log whose event it is; none of our lines needs that, for
each names what it is about. And in every turn it makes room for as many events as there are descriptors, so that every
turn would pay for thousands of idle visitors. Another reactor than epoll keeps its own loop.
"""

from __future__ import annotations

import sys
from select import EPOLLIN
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

__all__ = ["shorten"]

EVENTS = 512
"""So many events are taken from the kernel in one turn; the others come in the next."""


def shorten(reactor: Any) -> bool:
    """Let ``reactor`` hand events to descriptors directly; whether it could."""
    if type(reactor) is not EPollReactor:
        return False
    poll, selectables = reactor._poller.poll, reactor._selectables
    read_or_write, disconnect = reactor._doReadOrWrite, reactor._disconnectSelectable

    def iterate(timeout: float | None) -> None:
        """One turn: wait for events, and deal with them."""
        for descriptor, event in poll(-1 if timeout is None else timeout, EVENTS):
            selectable = selectables.get(descriptor)
            if selectable is None:
                continue
            if event != EPOLLIN:
                read_or_write(selectable, descriptor, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException:  # noqa: BLE001 - as Twisted does: a fault of a protocol ends its connection alone
                log.err()
                why = sys.exc_info()[1]
            if why:
                disconnect(selectable, why, True)

    vars(reactor)["doIteration"] = iterate
    return True
