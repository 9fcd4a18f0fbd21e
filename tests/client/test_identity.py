"""A client keeps its id across restarts, and no two running clients have the same one."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from egtunnel.client.identity import IdentityLimits, hold_identity
from egtunnel.errors import ConfigurationError

RELAY = "ws://localhost:7070/connect"
TUNNELS = ["http app", "tcp 20001"]

HOLD = """
import os, sys, time
from pathlib import Path
from egtunnel.client.identity import hold_identity
print(hold_identity(Path(sys.argv[1]), sys.argv[2], sys.argv[3:], os.urandom).client_id, flush=True)
time.sleep(60)
"""


def counting() -> Callable[[int], bytes]:
    """Bytes that are different each time and known in advance."""
    numbers = iter(range(1, 1000))
    return lambda size: next(numbers).to_bytes(size, "big")


def test_a_restarted_client_is_the_same_client(tmp_path: Path) -> None:
    """After release the same tunnels at the same relay get the same id, in whatever order they are named."""
    random = counting()
    first = hold_identity(tmp_path, RELAY, TUNNELS, random)
    first.release()
    second = hold_identity(tmp_path, RELAY, TUNNELS[::-1], random)
    assert second.client_id == first.client_id
    second.release()


def test_two_clients_with_the_same_tunnels_have_two_ids(tmp_path: Path) -> None:
    """While the first runs the second takes the next number; each gets its own back."""
    random = counting()
    first = hold_identity(tmp_path, RELAY, TUNNELS, random)
    second = hold_identity(tmp_path, RELAY, TUNNELS, random)
    assert first.client_id != second.client_id
    first.release()
    assert hold_identity(tmp_path, RELAY, TUNNELS, random).client_id == first.client_id


def test_another_relay_or_other_tunnels_make_another_client(tmp_path: Path) -> None:
    """What is asked for, and where, decides which file is read."""
    random = counting()
    ids = set()
    for relay, tunnels in ((RELAY, TUNNELS), ("wss://example.com:443/connect", TUNNELS), (RELAY, ["http other"])):
        identity = hold_identity(tmp_path, relay, tunnels, random)
        ids.add(identity.client_id)
        identity.release()
    assert len(ids) == 3


def test_a_client_stays_itself_when_its_tunnels_change(tmp_path: Path) -> None:
    """One more tunnel, one fewer, and back: the names that the relay keeps for it stay its own."""
    random = counting()
    ids = set()
    for tunnels in (["http app"], ["http app", "http blog"], ["http blog", "tcp 20001"], ["http app"]):
        identity = hold_identity(tmp_path, RELAY, tunnels, random)
        ids.add(identity.client_id)
        identity.release()
    assert len(ids) == 1


def test_the_id_that_knows_the_most_tunnels_is_taken(tmp_path: Path) -> None:
    """In whatever order two clients are started again, each gets its own."""
    random = counting()
    held = [hold_identity(tmp_path, RELAY, tunnels, random) for tunnels in (["a", "b"], ["c", "d", "e"])]
    for identity in held:
        identity.release()
    second = hold_identity(tmp_path, RELAY, ["b", "c", "d"], random)
    first = hold_identity(tmp_path, RELAY, ["a", "b", "c"], random)
    assert [first.client_id, second.client_id] == [identity.client_id for identity in held]


def test_two_clients_never_choose_at_the_same_time(tmp_path: Path) -> None:
    """While one makes its id the folder is locked: another would see a file half written, or take its number."""
    tried: list[bool] = []

    def random(size: int) -> bytes:
        with (tmp_path / "client" / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tried.append(True)
        return bytes(size)

    hold_identity(tmp_path, RELAY, TUNNELS, random).release()
    assert tried == [True]


def test_what_one_id_remembers_has_a_limit(tmp_path: Path) -> None:
    """The newest tunnels are kept, the oldest forgotten."""
    limits = IdentityLimits(tunnels=2)
    random = counting()
    for tunnels in (["a", "b"], ["b", "c"], ["c", "d"]):
        identity = hold_identity(tmp_path, RELAY, tunnels, random, limits)
        identity.release()
    assert len(json.loads(identity.file.read_text())["tunnels"]) == 2
    assert hold_identity(tmp_path, RELAY, ["a"], random, limits).client_id != identity.client_id


def test_the_file_is_the_owners_only(tmp_path: Path) -> None:
    """0600, in a folder 0700, whatever the umask."""
    old = os.umask(0)
    try:
        identity = hold_identity(tmp_path / "state", RELAY, TUNNELS, counting())
    finally:
        os.umask(old)
    assert stat.S_IMODE(identity.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(identity.file.parent.stat().st_mode) == 0o700
    identity.release()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"id": 7}', b'{"id": "../x"}', b"\xff" * 9000, b"[" * 9000])
def test_a_spoilt_file_gets_a_new_id(tmp_path: Path, content: bytes) -> None:
    """A crash while writing, or a hand, leaves what is no id: the client makes a new one and keeps that."""
    random = counting()
    identity = hold_identity(tmp_path, RELAY, TUNNELS, random)
    identity.release()
    identity.file.write_bytes(content)
    again = hold_identity(tmp_path, RELAY, TUNNELS, random)
    assert again.client_id == f"{2:032x}"
    assert json.loads(again.file.read_text())["id"] == again.client_id
    again.release()


def test_ids_have_an_end(tmp_path: Path) -> None:
    """With as many clients running as there may be, the error says so."""
    held = [hold_identity(tmp_path, RELAY, TUNNELS, counting(), IdentityLimits(ids=2)) for _ in range(2)]
    with pytest.raises(ConfigurationError, match="2 clients of this relay run already"):
        hold_identity(tmp_path, RELAY, TUNNELS, counting(), IdentityLimits(ids=2))
    for identity in held:
        identity.release()


def test_the_id_unused_for_longest_is_given_up(tmp_path: Path) -> None:
    """Somebody who shares another port every day does not fill the disk; a forgotten id is not given to another."""
    limits = IdentityLimits(ids=2)
    random = counting()
    for moment, tunnel in enumerate("ab"):
        identity = hold_identity(tmp_path, RELAY, [tunnel], random, limits)
        os.utime(identity.file, (moment, moment))
        identity.release()
    third = hold_identity(tmp_path, RELAY, ["c"], random, limits)
    assert third.client_id == f"{3:032x}"
    assert len(json.loads(third.file.read_text())["tunnels"]) == 1
    assert len(list((tmp_path / "client").glob("*.json"))) == 2
    assert hold_identity(tmp_path, RELAY, ["b"], random, limits).client_id == identity.client_id
    third.release()


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """Nobody makes us write through a symbolic link."""
    identity = hold_identity(tmp_path, RELAY, TUNNELS, counting())
    identity.release()
    identity.file.unlink()
    identity.file.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        hold_identity(tmp_path, RELAY, TUNNELS, counting())
    assert not (tmp_path / "victim").exists()


def test_two_processes_never_share_an_id_and_a_killed_one_leaves_it_free(tmp_path: Path) -> None:
    """The lock is the kernel's: it ends with the process, however that ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path), RELAY, *TUNNELS]
    first, second = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        assert first.stdout is not None and second.stdout is not None
        ids = {first.stdout.readline().strip(), second.stdout.readline().strip()}
        assert len(ids) == 2
        third = hold_identity(tmp_path, RELAY, TUNNELS, os.urandom)
        assert third.client_id not in ids
        for process in (first, second):
            process.kill()
            process.wait()
        assert {hold_identity(tmp_path, RELAY, TUNNELS, os.urandom).client_id for _ in range(2)} <= ids
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_tunnels_that_came_while_it_ran_are_remembered(tmp_path: Path) -> None:
    """Another list, nothing of which was there at the start: a restart finds the same client by it, or by the old."""
    random = counting()
    first = hold_identity(tmp_path, RELAY, TUNNELS, random)
    first.remember(["http shop"])
    first.release()
    first.remember(["http other"])  # too late: another process may have the file
    for tunnels in (["http shop"], TUNNELS):
        again = hold_identity(tmp_path, RELAY, tunnels, random)
        assert again.client_id == first.client_id
        again.release()
    assert hold_identity(tmp_path, RELAY, ["http other"], random).client_id != first.client_id


def test_of_too_many_tunnels_the_present_ones_are_remembered(tmp_path: Path) -> None:
    """The limit is that of the start."""
    limits = IdentityLimits(tunnels=2)
    first = hold_identity(tmp_path, RELAY, ["a", "b"], counting(), limits)
    first.remember(["c", "d"], limits)
    assert len(json.loads(first.file.read_text())["tunnels"]) == 2
    first.release()
    assert hold_identity(tmp_path, RELAY, ["c"], counting(), limits).client_id == first.client_id
