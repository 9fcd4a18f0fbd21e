"""``egtunnel token``: what it prints, what it keeps, and how it says what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from egtunnel.access.tokens import is_token
from egtunnel.command.main import DONE, FAILED, USAGE, main


@attrs.frozen
class Said:
    """What a command printed, and its status."""

    status: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``egtunnel token`` on the store of a state folder of its own."""

    def do(*words: str, state: Path = tmp_path) -> Said:
        try:
            status = main(["token", *words, "--state", str(state)])
        except SystemExit as error:
            status = int(str(error.code))
        return Said(status, *capsys.readouterr())

    return do


def listed(run: Run, *words: str) -> list[dict[str, Any]]:
    """The tokens, as JSON."""
    rows: list[dict[str, Any]] = json.loads(run("list", "--json", *words).out)
    return rows


def test_a_token_is_printed_alone_and_once(run: Run) -> None:
    """Standard output has nothing else, so that it can go into a file; the list has no secret."""
    made = run("create", "alice")
    assert made.status == DONE and is_token(made.out.strip()) and made.out.count("\n") == 1
    assert made.out.strip() not in made.err
    secret = made.out.strip().rpartition("_")[2]
    assert secret not in run("list").out + json.dumps(listed(run))


def test_its_rules_are_kept(run: Run) -> None:
    """Each option is one rule of the scope; what is not given is no rule."""
    run("create", "plain")
    words = (
        "--kind",
        "http",
        "--kind",
        "tcp",
        "--name",
        "Demo-*",
        "--host",
        "*.example.org",
        "--tcp-port",
        "20000-20009",
    )
    run("create", "limited", *words, "--tunnels", "2", "--no-sharing", "--owner", "bob", "--expires", "7d")
    plain, limited = (next(row for row in listed(run) if row["name"] == name) for name in ("plain", "limited"))
    assert (plain["scope"], plain["expires"], plain["owner"]) == ({}, None, "admin")
    assert limited["scope"] == {
        "kinds": ["http", "tcp"],
        "names": ["demo-*"],
        "hosts": ["*.example.org"],
        "tcp_ports": ["20000-20009"],
        "tunnels": 2,
        "sharing": False,
    }
    assert limited["owner"] == "bob" and limited["expires"] > limited["created"]
    assert [row["name"] for row in listed(run, "--owner", "bob")] == ["limited"]


def test_what_was_revoked_stays_in_the_list(run: Run) -> None:
    """By its id; a second time there is nothing to revoke."""
    name = run("create", "alice").out.split("_")[1]
    assert run("revoke", name).out == f"revoked {name}\n"
    assert [row["state"] for row in listed(run)] == ["revoked"]
    again = run("revoke", name)
    assert again.status == FAILED and f"no token {name}" in again.err and again.err.count("\n") == 1


def test_a_token_as_json(run: Run) -> None:
    """For programs."""
    made = json.loads(run("create", "alice", "--json").out)
    assert is_token(made["token"]) and made["token"].split("_")[1] == made["id"]
    assert json.loads(run("revoke", made["id"], "--json").out) == {"id": made["id"], "state": "revoked"}


def test_names_are_given_once_to_an_owner(run: Run) -> None:
    """Another owner may have it, too; an owner is made with the first token."""
    assert run("create", "laptop").status == DONE
    twice = run("create", "laptop")
    assert twice.status == FAILED and twice.err == "egtunnel: admin has a token with the name laptop already\n"
    assert run("create", "laptop", "--owner", "bob").status == DONE


def test_the_list_is_for_people(run: Run) -> None:
    """A line a token."""
    run("create", "alice", "--tunnels", "2", "--expires", "1h")
    line = r'\w{12}  good, until \S+  admin: alice  \{"tunnels": 2\}\n'
    assert re.fullmatch(line, run("list").out)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("create",),
        ("create", "x", "--expires", "soon"),
        ("create", "x", "--name", "a/b"),
        ("create", "x", "--kind", "ftp"),
        ("create", "x", "--tcp-port", "70000"),
        ("create", "x", "--tunnels", "-1"),
        ("create", "x" * 129),
        ("list", "--store", "mysql://h/d"),
        ("revoke",),
    ],
)
def test_what_cannot_be_understood_is_said(run: Run, words: tuple[str, ...]) -> None:
    """With status 2, and nothing is made."""
    said = run(*words)
    assert said.status == USAGE and "error: " in said.err and said.out == ""
    assert listed(run) == []


def test_a_folder_that_is_not_there_is_no_empty_store(run: Run, tmp_path: Path) -> None:
    """A misspelt folder must not become a store that no relay reads."""
    said = run("create", "alice", state=tmp_path / "misspelt")
    assert said.status == FAILED and "misspelt" in said.err
    assert not (tmp_path / "misspelt").exists()


def test_the_relays_own_file_says_where_the_store_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that a password need not stand on the command line; what else is in it is the relay's."""
    config = tmp_path / "relay.toml"
    config.write_text(f'domain = "tunnels.example.com"\nstore = "sqlite:///{tmp_path}/tokens.db"\n')
    assert main(["token", "create", "alice", "--config", str(config)]) == DONE
    assert (tmp_path / "tokens.db").stat().st_mode & 0o777 == 0o600
    assert is_token(capsys.readouterr().out.strip())


def test_a_database_that_is_away_is_one_line(run: Run) -> None:
    """Without the password."""
    said = run("list", "--store", "postgresql://egtunnel:hunter2@127.0.0.1:9/tokens")
    assert said.status == FAILED and said.err.count("\n") == 1 and "hunter2" not in said.err


def test_limits_and_rules_of_a_token(run: Run, tmp_path: Path) -> None:
    """They stand in its scope; what cannot be is said at once."""
    file = tmp_path / "rules.json"
    file.write_text('{"allow": ["10.0.0.0/8"]}')
    options = ("--rate", "100/s", "--max-connections", "50", "--quota", "10G", "--access", str(file), "--no-private")
    assert run("create", "laptop", *options).status == DONE
    (row,) = listed(run)
    limits = {"rate": "100/s", "connections": 50, "quota": "10G"}
    assert row["scope"] == {"limits": limits, "access": {"allow": ["10.0.0.0/8"]}, "private": False}
    for wrong in (("--rate", "fast"), ("--quota", "much"), ("--max-connections", "0"), ("--access", "/nowhere")):
        assert run("create", "other", *wrong).status == USAGE
    file.write_text("no JSON")
    assert run("create", "other", "--access", str(file)).status == USAGE
    assert len(listed(run)) == 1
