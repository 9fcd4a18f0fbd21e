"""Sockets that listen already: what systemd passes, and what is no such socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from egtunnel.relay.inherited import FIRST_DESCRIPTOR, Inherited, first_environment, listens, sockets_of_systemd


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket that listens on a port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_what_listens_and_what_does_not(listening: socket.socket) -> None:
    """A listening TCP socket, and none else."""
    assert listens(listening)
    with (
        socket.socket() as idle,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as local,
    ):
        assert not any(map(listens, (idle, datagrams, local)))


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "1"},
    ],
)
def test_what_is_meant_for_somebody_else_is_left_alone(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no child believes it either."""
    monkeypatch.setattr(os, "environ", {**os.environ, **environ})
    assert sockets_of_systemd(environ) == {}
    assert not {"LISTEN_PID", "LISTEN_FDS"} & os.environ.keys()


def test_the_first_environment_is_known_after_others_have_changed_it() -> None:
    """Twisted takes the variables away when its endpoints are imported; the process remembers them."""
    program = "import os; os.environ.pop('LISTEN_FDS'); from egtunnel.relay.inherited import first_environment as f; "
    words = [sys.executable, "-c", program + "print(f()['LISTEN_FDS'])"]
    environ = {**os.environ, "LISTEN_FDS": "7"}
    assert subprocess.run(words, env=environ, capture_output=True, text=True, check=True).stdout == "7\n"


def test_where_there_is_no_proc_it_is_what_there_is_now(tmp_path: Path) -> None:
    """On other systems than Linux, which have no systemd either."""
    assert first_environment(tmp_path / "none") == dict(os.environ)


def test_sockets_are_found_by_their_port(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no listening socket among them is passed over."""
    with socket.socket() as idle:
        passed = {FIRST_DESCRIPTOR: listening.fileno(), FIRST_DESCRIPTOR + 1: idle.fileno()}
        really = os.dup
        monkeypatch.setattr(os, "dup", lambda number: really(passed[number]))
        monkeypatch.setattr(os, "set_inheritable", lambda number, on: None)
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
        found = sockets_of_systemd(environ)
    assert list(found) == [listening.getsockname()[1]]
    inherited = Inherited(found)
    inherited.close()
    assert inherited.ports == {}
