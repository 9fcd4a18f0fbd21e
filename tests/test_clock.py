"""The clock of the daemons."""

from __future__ import annotations

import time

from twisted.internet.task import Clock

from egtunnel.clock import install_monotonic


def test_the_reactor_follows_the_monotonic_clock() -> None:
    """A reactor's idea of now is that of a clock that no one can set."""
    reactor = Clock()
    install_monotonic(reactor)
    before = time.monotonic()
    assert before <= reactor.seconds() <= time.monotonic()
