"""SIGHUP, sent to this very process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from egtunnel.hangup import Hangup


class Reactor:
    """What is to be done in the reactor's own time, and whether it was stopped."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.stopped = 0

    def callFromThread(self, call: Any) -> None:
        self.calls.append(call)

    def stop(self) -> None:
        self.stopped += 1

    def turn(self) -> None:
        """Do it."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()


@pytest.fixture(autouse=True)
def disposition() -> Iterator[None]:
    """What this process does at SIGHUP is put back, whatever a test does."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def hung_up(reactor: Reactor) -> None:
    """The signal, and what follows."""
    os.kill(os.getpid(), signal.SIGHUP)
    reactor.turn()


def test_each_signal_reloads_from_start_to_stop() -> None:
    """Not in the midst of what the signal interrupts; and afterwards the signal is somebody else's again."""
    others: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, frame: others.append(number))
    reactor, reloads = Reactor(), list[str]()
    service = Hangup(reactor, lambda: reloads.append("reload"), lambda: False)
    hung_up(reactor)
    service.startService()
    os.kill(os.getpid(), signal.SIGHUP)
    assert reloads == [] and len(reactor.calls) == 1
    reactor.turn()
    hung_up(reactor)
    os.kill(os.getpid(), signal.SIGHUP)
    service.stopService()
    reactor.turn()  # of a signal that came just before the stop
    hung_up(reactor)
    assert (len(reloads), len(others), reactor.stopped) == (2, 2, 0)


def test_a_terminal_that_goes_ends_the_daemon() -> None:
    """One that is there does not, nor one that never was."""
    terminals = [True, True, False]
    reactor, reloads = Reactor(), list[str]()
    service = Hangup(reactor, lambda: reloads.append("reload"), lambda: terminals.pop(0))
    service.startService()
    hung_up(reactor)
    assert (len(reloads), reactor.stopped) == (1, 0)
    hung_up(reactor)
    assert (len(reloads), reactor.stopped) == (1, 1)
    service.stopService()


def test_who_was_told_to_ignore_the_signal_outlives_the_terminal() -> None:
    """As nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reactor, reloads = Reactor(), list[str]()
    service = Hangup(reactor, lambda: reloads.append("reload"), lambda: False)
    service.startService()
    hung_up(reactor)
    assert (len(reloads), reactor.stopped) == (1, 0)
    service.stopService()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
