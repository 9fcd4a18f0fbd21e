"""Reading /proc: every byte of a stat line that the account rests on."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.usage import TICK, ProcessStat, cpu_seconds, descendants, parse_stat, resident_kib, snapshot, written_bytes

LINE = (
    "4242 (a ) b) S 17 4242 4242 0 -1 4194560 5000 0 12 0 250 50 99 99 20 0 3 0 987654 100000000 2500 "
    "18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)


def stat(pid: int, parent: int) -> ProcessStat:
    return ProcessStat(pid, parent, "S", 0, 0.0)


def test_a_stat_line_is_read_behind_the_last_bracket() -> None:
    """A command name may hold brackets and blanks; user and system time count, those of children that ended do not."""
    assert parse_stat(LINE) == ProcessStat(pid=4242, parent=17, state="S", started=987654, cpu=300 * TICK)


def test_descendants_are_found_at_every_depth_and_once() -> None:
    """Children of children count, strangers do not, and a root below another root is not counted twice."""
    processes = {each.pid: each for each in [stat(1, 0), stat(2, 1), stat(3, 2), stat(4, 2), stat(9, 1)]}
    assert sorted(each.pid for each in descendants([2, 3], processes)) == [2, 3, 4]


def test_a_root_that_has_ended_has_no_descendants() -> None:
    """Its children belong to somebody else by then."""
    assert descendants([7], {1: stat(1, 0)}) == []


def test_our_own_process_is_in_the_snapshot() -> None:
    """The real /proc reads as the parser expects."""
    own = snapshot()[os.getpid()]
    assert (own.parent, own.state) == (os.getppid(), "R")


def test_our_own_use_is_above_zero() -> None:
    """Memory in KiB: a Python has some MiB, and not some GiB."""
    assert cpu_seconds([os.getpid()]) > 0
    assert 1024 < resident_kib([os.getpid()]) < 4 * 1024 * 1024


def test_nothing_is_used_by_a_process_that_has_ended() -> None:
    """A pid that is gone is no error."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert (cpu_seconds([done.pid]), resident_kib([done.pid])) == (0, 0)


def test_bytes_written_to_nowhere_are_counted() -> None:
    """This is how the progress of a download to /dev/null is seen."""
    before = written_bytes(os.getpid())
    with open("/dev/null", "wb", buffering=0) as nowhere:
        nowhere.write(bytes(10_000))
    assert written_bytes(os.getpid()) - before >= 10_000
