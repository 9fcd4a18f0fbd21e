"""What the relay keeps in its state folder."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from egtunnel.errors import ConfigurationError
from egtunnel.relay.reservations import Owner, Place, Reservations
from egtunnel.relay.state import DELAY, RETRY, Ledger, State, read_token, write_atomically

APP = Place("name", "app")


@pytest.fixture
def said() -> list[str]:
    return []


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_first_start_makes_folder_and_token(tmp_path: Path, said: list[str]) -> None:
    """Both for their owner only; the next start finds the same token."""
    folder = tmp_path / "a" / "relay"
    state = State(folder, said.append)
    state.hold()
    token = state.token()
    assert len(token) >= 43
    assert mode(folder) == 0o700
    assert mode(folder / "token") == 0o600
    assert state.token() == token
    state.release()
    again = State(folder, said.append)
    again.hold()
    assert again.token() == token
    assert said == []
    again.release()


def test_a_token_that_others_can_read_is_closed_to_them_and_that_is_said(tmp_path: Path, said: list[str]) -> None:
    """It works on, and it is known that it may be known."""
    (tmp_path / "token").write_text("a-token-that-is-long-enough\n")
    (tmp_path / "token").chmod(0o644)
    assert State(tmp_path, said.append).token() == "a-token-that-is-long-enough"
    assert mode(tmp_path / "token") == 0o600
    assert len(said) == 1
    assert "a-token" not in said[0]


@pytest.mark.parametrize("text", ["", "\n", "short", "two\nlines of sixteen letters", "x" * 2000, "ä" * 20, "\0" * 20])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is empty or cut short must not open the relay to everybody who guesses that; it is not repeated."""
    (tmp_path / "token").write_text(text)
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no token") as refused:
        State(tmp_path, lambda line: None).token()
    assert not text.strip() or text not in refused.value.text


def test_a_token_file_of_the_administrators_is_read_and_not_changed(tmp_path: Path) -> None:
    """A credential of systemd may be readable by a group; by everybody it is refused."""
    file = tmp_path / "credential"
    file.write_text("a-token-that-is-long-enough")
    file.chmod(0o440)
    assert read_token(file) == "a-token-that-is-long-enough"
    assert mode(file) == 0o440
    file.chmod(0o444)
    with pytest.raises(ConfigurationError, match="everybody"):
        read_token(file)
    with pytest.raises(ConfigurationError, match=r"cannot read the token in .*none: No such file"):
        read_token(tmp_path / "none")


def test_two_relays_cannot_share_a_folder(tmp_path: Path) -> None:
    """Each would overwrite what the other keeps."""
    first, second = (State(tmp_path, lambda line: None) for _ in range(2))
    first.hold()
    with pytest.raises(ConfigurationError, match="another egrelay uses the state folder"):
        second.hold()
    first.release()
    second.hold()
    second.release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """One line, no traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot use the state folder .*/file/relay: Not a directory"):
        State(tmp_path / "file" / "relay", lambda line: None).hold()


class Desk:
    """A ledger, its reservations and its clock."""

    def __init__(self, folder: Path, said: list[str]) -> None:
        self.file = folder / "names.json"
        self.clock = Clock()
        self.reservations = Reservations()
        self.ledger = Ledger(self.file, self.reservations, self.clock, lambda: 1e9, said.append)


def test_a_hundred_changes_are_one_write_a_moment_later(tmp_path: Path, said: list[str]) -> None:
    """And what was written comes back."""
    desk = Desk(tmp_path, said)
    desk.reservations.take(APP, Owner("t", "ann"), "k")
    for _ in range(100):
        desk.ledger.changed()
    assert not desk.file.exists()
    assert len(desk.clock.getDelayedCalls()) == 1
    desk.clock.advance(DELAY)
    assert mode(desk.file) == 0o600
    assert desk.clock.getDelayedCalls() == []

    later = Desk(tmp_path, said)
    later.ledger.load()
    assert later.reservations.owner_of(APP) == Owner("t", "ann")
    assert said == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["names.json"]


def test_closing_writes_what_was_not_written_yet(tmp_path: Path, said: list[str]) -> None:
    """And only then: nothing changed, nothing written."""
    desk = Desk(tmp_path, said)
    desk.ledger.close()
    assert not desk.file.exists()
    desk.ledger.thaw()
    desk.ledger.close()
    assert desk.file.exists()
    assert desk.clock.getDelayedCalls() == []


def test_what_changes_after_closing_is_another_relay_s_to_write(tmp_path: Path, said: list[str]) -> None:
    """It has taken over the file; unless it gives up, and everything is taken back."""
    desk = Desk(tmp_path, said)
    desk.ledger.close()
    desk.ledger.changed()
    assert desk.clock.getDelayedCalls() == []
    desk.ledger.thaw()
    assert desk.clock.getDelayedCalls()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"reservations": 1}',
        b'{"reservations": [1]}',
        b'{"reservations": [{}]}',
        b"\xff",
        b"[" * 99999,
    ],
)
def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path, said: list[str], content: bytes) -> None:
    """The relay starts all the same; nothing is thrown away."""
    desk = Desk(tmp_path, said)
    desk.file.write_bytes(content)
    desk.ledger.load()
    assert len(said) == 1
    assert "damaged" in said[0]
    assert (tmp_path / "names.damaged").read_bytes() == content
    assert not desk.file.exists()
    desk.ledger.write()
    assert json.loads(desk.file.read_bytes()) == {"reservations": []}


def test_no_file_is_an_empty_table(tmp_path: Path, said: list[str]) -> None:
    """The first start has nothing to say about it."""
    Desk(tmp_path, said).ledger.load()
    assert said == []


def test_a_full_disk_is_told_once_and_tried_again(tmp_path: Path, said: list[str]) -> None:
    """The relay goes on; when there is room again all is written."""
    folder = tmp_path / "gone"
    desk = Desk(folder, said)
    with capturedLogs() as events:
        desk.ledger.write()
        desk.clock.advance(RETRY)
        desk.clock.advance(RETRY)
    assert [event["log_level"] for event in events] == [LogLevel.error]
    folder.mkdir()
    desk.clock.advance(RETRY)
    assert desk.file.exists()
    assert desk.clock.getDelayedCalls() == []


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing between old and new is ever seen under the file's name."""
    file = tmp_path / "names.json"
    write_atomically(file, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    monkeypatch.undo()
    write_atomically(file, b"newer")
    assert file.read_bytes() == b"newer"
