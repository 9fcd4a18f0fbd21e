"""Installing the other tunnels: what is there stays, what cannot be had is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import peers
from bench.contenders.peers import PEERS
from bench.peers import INSTALLS, Install, install, main
from bench.program import PEER_FOLDER, find_program

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(peers, "PEER_FOLDER", tmp_path / "bin")
    return tmp_path


def test_what_is_there_is_not_installed_again(folder: Path) -> None:
    """Nothing is started."""
    assert install(Install("x", ("sh",), ("no-such-client",))) == ""


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("no-such-client", "install"), "no-such-client is not installed"),
        (("sh", "-c", "echo first; echo refused >&2; exit 3"), "sh ended with status 3: first / refused"),
        (("sh", "-c", "exit 0"), "sh ended with status 0: "),
        (("sleep", "60"), "sleep did not end within 0.2 s"),
    ],
)
def test_what_cannot_be_had_is_told_with_its_reason(folder: Path, command: tuple[str, ...], reason: str) -> None:
    """Also where the client says that all is well and the program is not there."""
    assert install(Install("x", ("no-such-program",), command), limit=0.2 if command[0] == "sleep" else 60) == reason


def test_all_are_tried_whatever_becomes_of_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A peer that is missing is no error: the benchmark runs without it."""
    assert main([Install("x", ("no-such-program",), ("no-such-client",)), Install("y", ("sh",), ("sh",))]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "peers: no-such-program: no-such-client is not installed",
        "peers: sh: there",
    ]


def test_programs_are_found_where_they_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the PATH; the folder is none of the repository's."""
    program = tmp_path / "no-such-program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("bench.program.MORE_FOLDERS", (str(tmp_path),))
    assert find_program("no-such-program") == str(program)
    assert not PEER_FOLDER.is_relative_to(CHECKOUT / "bench")


def test_what_is_installed_is_what_the_contenders_start() -> None:
    """By the names of the programs."""
    started = {program for peer in PEERS for program in peer.programs}
    assert {program for wanted in INSTALLS for program in wanted.programs} <= started
