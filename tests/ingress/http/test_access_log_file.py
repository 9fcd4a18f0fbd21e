"""The file of the access log: batches, rotation, and what happens when it cannot be written."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from egtunnel.errors import ConfigurationError
from egtunnel.ingress.http.log_file import AccessLogLimits, LogFile

LIMITS = AccessLogLimits(batch=100, interval=1.0, backlog=1_000)


class Desk:
    """A log file, its clock, and what was said of it."""

    def __init__(self, path: Path | str, limits: AccessLogLimits = LIMITS) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.file = LogFile(path, self.clock, self.said.append, limits)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "access.log"


@contextlib.contextmanager
def pipe(path: Path) -> Iterator[int]:
    """The reading end of a named pipe."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield reader
    finally:
        os.close(reader)


def test_lines_are_written_after_a_second(path: Path) -> None:
    """All together; without lines no time is measured."""
    desk = Desk(path)
    assert not desk.clock.getDelayedCalls()
    desk.file.write(b"a\n")
    desk.clock.advance(0.5)
    desk.file.write(b"b\n")
    assert path.read_bytes() == b""
    desk.clock.advance(0.5)
    assert path.read_bytes() == b"a\nb\n"
    assert not desk.clock.getDelayedCalls()


def test_a_full_batch_is_written_at_once(path: Path) -> None:
    """``AccessLogLimits.batch``."""
    desk = Desk(path)
    desk.file.write(b"x" * 98 + b"\n")
    assert path.stat().st_size == 0
    desk.file.write(b"\n")
    assert path.stat().st_size == 100


def test_the_end_writes_what_is_there_and_later_lines_too(path: Path) -> None:
    """Connections that end after the log was closed still have their lines; nothing stays open or scheduled."""
    desk = Desk(path)
    before = len(os.listdir("/proc/self/fd"))
    desk.file.write(b"a\n")
    desk.file.close()
    desk.file.close()
    assert path.read_bytes() == b"a\n"
    desk.file.write(b"b\n")
    assert path.read_bytes() == b"a\nb\n"
    assert not desk.clock.getDelayedCalls()
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_a_file_that_is_there_is_appended_to_and_keeps_its_mode(path: Path) -> None:
    """A restart loses nothing."""
    path.write_bytes(b"old\n")
    path.chmod(0o604)
    desk = Desk(path)
    desk.file.write(b"new\n")
    desk.file.close()
    assert path.read_bytes() == b"old\nnew\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_a_new_file_is_read_by_its_owner_and_group(path: Path) -> None:
    """0640, whatever the umask of a daemon is."""
    before = os.umask(0o077)
    try:
        Desk(path).file.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("way", ["moved", "moved and made anew", "removed", "truncated"])
def test_rotation_needs_no_signal(path: Path, way: str) -> None:
    """Lines go to the file that has the name; those of before stay where they were."""
    desk = Desk(path)
    desk.file.write(b"one\n")
    desk.clock.advance(1)
    old = path.with_suffix(".1")
    if way == "truncated":
        old.write_bytes(path.read_bytes())
        os.truncate(path, 0)
    elif way == "removed":
        path.unlink()
    else:
        path.rename(old)
        if way == "moved and made anew":
            path.touch()
    desk.file.write(b"two\n")
    desk.clock.advance(1)
    desk.file.close()
    assert path.read_bytes() == b"two\n"
    assert way == "removed" or old.read_bytes() == b"one\n"
    assert desk.said == [] and desk.file.lost == 0


def test_a_file_that_cannot_be_made_anew_goes_on_where_it_was(tmp_path: Path) -> None:
    """Nothing is lost, and it is said once; when the folder is back, the log is, too."""
    folder = tmp_path / "logs"
    folder.mkdir()
    desk = Desk(folder / "access.log")
    gone = tmp_path / "old"
    folder.rename(gone)
    for line in (b"one\n", b"two\n"):
        desk.file.write(line)
        desk.clock.advance(1)
    assert (gone / "access.log").read_bytes() == b"one\ntwo\n"
    assert len(desk.said) == 1 and "cannot be opened anew" in desk.said[0]
    folder.mkdir()
    desk.file.write(b"three\n")
    desk.clock.advance(1)
    assert (folder / "access.log").read_bytes() == b"three\n"
    assert desk.file.lost == 0 and "lines lost: 0" in desk.said[1]
    desk.file.close()


def test_a_full_disk_is_said_once_and_lines_are_counted() -> None:
    """Nobody is kept waiting, and nothing piles up."""
    desk = Desk("/dev/full")
    for _ in range(3):
        desk.file.write(b"a\n")
        desk.file.write(b"b\n")
        desk.clock.advance(1)
    assert desk.file.lost == 6
    assert len(desk.said) == 1 and "No space left" in desk.said[0] and "/dev/full" in desk.said[0]
    assert not desk.clock.getDelayedCalls()
    desk.file.close()


def test_a_disk_with_room_again_is_said_with_what_was_lost(tmp_path: Path) -> None:
    """The log goes on by itself."""
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    desk = Desk(path)
    desk.file.write(b"lost\n")
    desk.clock.advance(1)
    path.unlink()
    desk.file.write(b"kept\n")
    desk.clock.advance(1)
    assert path.read_bytes() == b"kept\n"
    assert len(desk.said) == 2 and "lines lost: 1" in desk.said[1]
    desk.file.close()


def test_a_reader_that_is_stuck_costs_so_much_memory_and_no_more(path: Path) -> None:
    """``AccessLogLimits.backlog``; beyond it lines are lost and counted, and no write blocks."""
    limits = AccessLogLimits(batch=50_000, backlog=200_000)
    with pipe(path) as reader:
        desk = Desk(path, limits)
        line = b"x" * 999 + b"\n"
        for _ in range(1_000):
            desk.file.write(line)
            desk.clock.advance(0.01)
        assert 0 < desk.file.lost < 1_000
        assert len(desk.said) == 1
        got = b""
        for _ in range(500):
            with contextlib.suppress(BlockingIOError):
                got += os.read(reader, 1_000_000)
            desk.clock.advance(1)
        assert got == line * (1_000 - desk.file.lost)
        assert 200_000 < len(got) < 400_000
        desk.file.close()


def test_a_reader_that_goes_is_an_error_like_another(path: Path) -> None:
    """A broken pipe ends neither the relay nor the log."""
    with pipe(path):
        desk = Desk(path)
    desk.file.write(b"a\n")
    desk.clock.advance(1)
    assert desk.file.lost == 1 and len(desk.said) == 1
    desk.file.close()


@pytest.mark.parametrize("kind", ["folder", "nowhere", "a pipe without a reader"])
def test_what_cannot_be_opened_is_said_at_the_start(tmp_path: Path, kind: str) -> None:
    """A relay that cannot log as it was told does not start."""
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "nowhere":
        path = path / "y"
    else:
        os.mkfifo(path)
    with pytest.raises(ConfigurationError, match=r"access log .*/x"):
        Desk(path)


def test_standard_output_is_a_file_like_another(capfd: pytest.CaptureFixture[str]) -> None:
    """``-``; it stays open when the log is closed."""
    desk = Desk("-")
    desk.file.write(b"a\n")
    desk.file.close()
    desk.file.write(b"b\n")
    assert capfd.readouterr().out == "a\nb\n"
    os.fstat(1)
