"""What was refused, for whoever looks after the relay: to the store, and as JSON lines to a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from egtunnel.errors import Refused
from egtunnel.ingress.http.log_file import AccessLogLimits, LogFile
from egtunnel.store.records import RefusalRecord

__all__ = ["Audit", "AuditFile"]

UNDECIDED = frozenset({"store-away", "too-many-attempts"})
"""Not here: the relay has not looked at what was asked. That an address is refused is noted once, when it begins."""
LONGEST = 512


class Audit:
    """Gives each refusal to every one of ``sinks``.

    :param wall: the time of day, in seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float], *sinks: Callable[[RefusalRecord], None]) -> None:
        self._wall = wall
        self._sinks = sinks

    def refused(self, error: Refused, whom: str) -> None:
        """A login or a claim: ``whom`` an address, or a token's id and a client."""
        if error.reason not in UNDECIDED:
            self.note(error.reason, whom, error.text)

    def note(self, rule: str, whom: str, what: str) -> None:
        """Anything else that was refused."""
        record = RefusalRecord(self._wall(), rule, whom, what)
        for sink in self._sinks:
            sink(record)


class AuditFile:
    """One JSON object a line: ``at`` (seconds since 1970), ``rule``, ``whom``, ``what``.

    The parameters, and what is raised, are those of ``LogFile``.
    """

    def __init__(self, path: Path | str, clock: Any, say: Callable[[str], None]) -> None:
        self._file = LogFile(path, clock, say, AccessLogLimits(), "audit log")

    def write(self, record: RefusalRecord) -> None:
        """Append a line; control characters come out as escapes."""
        words = {"at": round(record.at, 3), "rule": record.rule, "whom": record.whom, "what": record.what[:LONGEST]}
        self._file.write(json.dumps(words).encode() + b"\n")

    def close(self) -> None:
        """Write what has come."""
        self._file.close()
