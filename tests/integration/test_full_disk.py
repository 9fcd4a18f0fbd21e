"""The disk under the store is full: a clear error, the relay serves on, and all is well when there is room again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.daemons import Client, Daemon, Relay, environment, until
from tests.integration.rawhttp import get
from tests.integration.token_store import state_folder
from tests.integration.upstreams import Nginx

Start = Callable[[Daemon], Daemon]
SIZE = 2 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, where the state folder is."""
    folder = tmp_path / "state"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], timeout=10, check=True)


def fill(disk: Path) -> Path:
    """Take all that is left."""
    file = disk / "ballast"
    with file.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"x" * 4096)
        except OSError:
            return file


def share(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``egtunnel share create``, on the relay's machine."""
    command = [sys.executable, "-m", "egtunnel", "share", "create", "app", *words, "--state", str(state_folder(home))]
    env = {**os.environ, **environment(home / "state")}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_full_disk_stops_nothing_but_what_would_be_written(
    tmp_path: Path, disk: Path, start: Start, nginx: Nginx
) -> None:
    """Tunnels that stand and logins go on; what cannot be kept is refused with the reason."""
    relay = Relay(tmp_path, "--store", "sqlite")
    start(relay)
    relay.ready()
    client = Client(relay, "--local", str(nginx.port), "--name", "app", "--state", str(tmp_path / "client"))
    start(client)
    client.url()
    assert share(tmp_path).returncode == 0
    ballast = fill(disk)
    refused = share(tmp_path, "--note", "x" * 500)
    for _ in range(50):  # there may be room within the pages that it has
        if refused.returncode:
            break
        refused = share(tmp_path, "--note", "x" * 500)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "no room" in refused.stderr or "full" in refused.stderr, refused.stderr
    for _ in range(20):
        assert get(relay.port, relay.host("app"), "/hello").status == 200
    other = Client(relay, "--local", str(nginx.port), "--name", "other", "--state", str(tmp_path / "other"))
    start(other)
    other.url()
    assert get(relay.port, relay.host("other"), "/hello").status == 200
    ballast.unlink()
    with until("the store to take something again") as deadline:
        while share(tmp_path).returncode and time.monotonic() < deadline:
            time.sleep(0.1)
    relay.assert_calm()
