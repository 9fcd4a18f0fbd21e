"""A daemon in the foreground, for a person: what it says as plain lines, of its log only what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.usage import UsageError

from egtunnel.command.database import Misread

__all__ = ["run"]


def run(options: Any, make: Callable[..., Any], words: Sequence[str]) -> None:
    """The service of these options, until a signal or its own end; one that fails ends the process with status 1.

    Raises Misread.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - other commands need none

    try:
        options.parseOptions(list(words))
    except UsageError as error:
        raise Misread(str(error)) from None
    except SystemExit:  # --help and --version have been printed
        return
    wrong: Any = LogLevelFilterPredicate(LogLevel.error)
    stderr: Any = sys.__stderr__
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(textFileLogObserver(stderr), [wrong])], redirectStandardIO=False
    )
    running: Any = reactor
    service = make(options, running)
    service.privilegedStartService()
    service.startService()
    running.addSystemEventTrigger("before", "shutdown", service.stopService)
    running.run()
