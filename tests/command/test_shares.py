"""``egtunnel share create``, ``list`` and ``revoke`` on a relay's store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from egtunnel.command.main import DONE, FAILED, USAGE, main
from tests.command.test_tokens import Said

Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``egtunnel share`` on the store of a state folder of its own."""

    def do(*words: str) -> Said:
        try:
            status = main(["share", *words, "--state", str(tmp_path)])
        except SystemExit as error:
            status = int(str(error.code))
        return Said(status, *capsys.readouterr())

    return do


def listed(run: Run, *words: str) -> list[dict[str, Any]]:
    """The shares, as JSON."""
    rows: list[dict[str, Any]] = json.loads(run("list", "--json", *words).out)
    return rows


def test_a_link_is_printed_alone_and_once(run: Run) -> None:
    """Its host is the relay's; the list knows everything but the link."""
    said = run("create", "app", "--domain", "example.com", "--public-url", "https://example.com", "--note", "for Bea")
    assert said.status == DONE
    link = said.out.strip()
    assert link.startswith("https://example.com/share/") and link.endswith("/")
    (row,) = listed(run)
    assert (row["tunnels"], row["permissions"], row["state"]) == (["app.example.com"], ["read"], "good")
    assert row["id"] in said.err and row["note"] == "for Bea"
    secret = link.split("/")[4]
    assert secret not in json.dumps(row) + run("list").out


def test_all_that_a_share_may_say(run: Run, tmp_path: Path) -> None:
    """Services, methods, uses, a passphrase, an owner."""
    file = tmp_path / "passphrase"
    file.write_text("open sesame\n")
    options = ("--service", "/mail", "--service", "/files", "--permit", "read", "--permit", "POST", "--uses", "3")
    made = run(
        *("create", "app.example.com", "--owner", "ann", "--expires", "never", "--passphrase-file", str(file)),
        *options,
        "--json",
    )
    shown = json.loads(made.out)
    assert (shown["owner"], shown["expires"], shown["uses_left"], shown["passphrase"]) == ("ann", None, 3, True)
    assert [service["prefix"] for service in shown["services"]] == ["/mail", "/files"]
    assert shown["permissions"] == ["read", "POST"] and "open sesame" not in made.out + made.err
    assert listed(run, "--owner", "bob") == [] and len(listed(run, "--owner", "ann")) == 1


def test_a_share_is_revoked_once(run: Run) -> None:
    """The second time there is nothing to revoke."""
    run("create", "app.example.com")
    (row,) = listed(run)
    assert run("revoke", row["id"]).out == f"revoked {row['id']}\n"
    assert listed(run)[0]["state"] == "revoked"
    again = run("revoke", row["id"])
    assert again.status == FAILED and "egtunnel share list" in again.err


@pytest.mark.parametrize(
    "words",
    [
        ("create",),
        ("create", "app", "--expires", "soon"),
        ("create", "app", "--uses", "0"),
        ("create", "app", "--read-only", "--write"),
        ("create", "app", "--service", "../etc"),
        ("create", "http://app"),
        ("create", "app", "--passphrase-file", "/nowhere"),
        ("revoke",),
        ("list", "--nonsense"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_understood(run: Run, words: tuple[str, ...]) -> None:
    """Status 2, one line, nothing made."""
    said = run(*words)
    assert said.status == USAGE and said.out == ""
    assert listed(run) == []
