"""A daemon in the foreground, for a person: what it says as plain lines, of its log only what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from egtunnel.command.database import Misread

__all__ = ["log_little", "run", "run_once", "until_done"]


def run(options: Any, make: Callable[..., Any], words: Sequence[str]) -> None:
    """The service of these options, until a signal or its own end; one that fails ends the process with status 1.

    Raises Misread.
    """
    running = _read(options, words)
    service = make(options, running)
    service.privilegedStartService()
    service.startService()
    screen = getattr(options, "screen", None)
    if screen is not None:
        screen.begin(running)
    running.addSystemEventTrigger("before", "shutdown", service.stopService)
    running.run()


def run_once(options: Any, words: Sequence[str], work: Callable[[Any], Deferred[None]]) -> None:
    """Until ``work`` is done. Raises Misread, or what it failed with."""
    until_done(_read(options, words), work)


def until_done(running: Any, work: Callable[[Any], Deferred[None]]) -> None:
    """Run the reactor until ``work`` is done. Raises what it failed with."""
    failed: list[Failure] = []

    def begin() -> None:
        done: Deferred[Any] = work(running)
        done.addErrback(failed.append).addCallback(lambda _: running.stop())

    running.callWhenRunning(begin)
    running.run()
    if failed:
        failed[0].raiseException()


def _read(options: Any, words: Sequence[str]) -> Any:
    """Read the options."""
    from twisted.internet import reactor  # noqa: PLC0415 - other commands need none

    log_little()
    try:
        options.parseOptions(list(words))
    except UsageError as error:
        raise Misread(str(error)) from None
    return reactor


def log_little() -> None:
    """What is logged from now on is shown if it is an error."""
    wrong: Any = LogLevelFilterPredicate(LogLevel.error)
    stderr: Any = sys.__stderr__
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(textFileLogObserver(stderr), [wrong])], redirectStandardIO=False
    )
