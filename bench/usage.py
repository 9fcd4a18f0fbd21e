"""What processes cost, read from /proc: processor time and resident memory of whole process trees (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

__all__ = ["ProcessStat", "cpu_seconds", "descendants", "parse_stat", "resident_kib", "snapshot", "written_bytes"]

TICK = 1 / os.sysconf("SC_CLK_TCK")


@frozen
class ProcessStat:
    """One line of /proc/PID/stat, as far as it matters here.

    :ivar started: ticks since boot; with the pid it names one process for ever
    :ivar cpu: user and system time, seconds, of all its threads
    """

    pid: int
    parent: int
    state: str
    started: int
    cpu: float


def parse_stat(text: str) -> ProcessStat:
    """Read one stat line; the command name in it may hold blanks and brackets."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return ProcessStat(
        pid=int(head.split(" ", 1)[0]),
        parent=int(fields[1]),
        state=fields[0],
        started=int(fields[19]),
        cpu=(int(fields[11]) + int(fields[12])) * TICK,
    )


def snapshot() -> dict[int, ProcessStat]:
    """All processes there are now, by pid; one that ends while we look is left out."""
    found: dict[int, ProcessStat] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = parse_stat((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[stat.pid] = stat
    return found


def descendants(roots: Iterable[int], processes: dict[int, ProcessStat]) -> list[ProcessStat]:
    """The roots that live and everything below them, each once."""
    children: dict[int, list[int]] = {}
    for stat in processes.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    found: dict[int, ProcessStat] = {}
    waiting = [pid for pid in roots if pid in processes]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = processes[pid]
            waiting.extend(children.get(pid, ()))
    return list(found.values())


def cpu_seconds(roots: Iterable[int]) -> float:
    """Processor time used so far by the processes and all their living children, seconds."""
    return sum(stat.cpu for stat in descendants(roots, snapshot()))


def resident_kib(roots: Iterable[int]) -> int:
    """Resident memory of the processes and all their children, KiB."""
    total = 0
    for stat in descendants(roots, snapshot()):
        try:
            status = Path(f"/proc/{stat.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return total


def written_bytes(pid: int) -> int:
    """Bytes the process has handed to ``write`` so far, whatever the file (``wchar`` of /proc/PID/io)."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0
