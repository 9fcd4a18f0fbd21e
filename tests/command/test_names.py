"""``egtunnel name``: what is kept for whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from egtunnel.command.main import DONE, FAILED, USAGE, main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``egtunnel name`` on the store of a state folder of its own: status, output, errors."""

    def do(*words: str) -> tuple[int, str, str]:
        try:
            status = main(["name", *words, "--state", str(tmp_path)])
        except SystemExit as error:
            status = int(str(error.code))
        return status, *capsys.readouterr()

    return do


def test_what_is_reserved_is_listed_until_it_is_released(run: Run) -> None:
    """In its one form, with its owner."""
    assert run("reserve", "name", "Shop.", "--owner", "ann") == (DONE, "kept for ann: shop\n", "")
    assert run("reserve", "host", "WWW.Custom.test")[0] == DONE
    assert run("reserve", "tcp", "020005", "--owner", "ann")[0] == DONE
    rows = json.loads(run("list", "--json")[1])
    assert [(row["kind"], row["value"], row["owner"], row["proven"]) for row in rows] == [
        ("host", "www.custom.test", "admin", "admin"),
        ("name", "shop", "ann", "admin"),
        ("tcp", "20005", "ann", "admin"),
    ]
    assert run("list")[1].splitlines()[1] == "name  shop  ann  (admin)"
    assert run("release", "name", "SHOP")[0] == DONE
    assert "shop" not in run("list")[1]


def test_nobody_gets_what_somebody_has(run: Run) -> None:
    """Not even the same owner once more; and what nobody has cannot be released."""
    run("reserve", "name", "shop", "--owner", "ann")
    for owner in ("ann", "bob"):
        status, out, err = run("reserve", "name", "shop", "--owner", owner)
        assert (status, out) == (FAILED, "") and "kept for somebody" in err
    status, _, err = run("release", "name", "stall")
    assert status == FAILED and "kept for nobody" in err


@pytest.mark.parametrize(
    "words",
    [
        ("reserve", "name", "-shop"),
        ("reserve", "name", "www"),
        ("reserve", "host", "shop"),
        ("reserve", "tcp", "0"),
        ("reserve", "tcp", "65536"),
        ("reserve", "tcp", "9" * 5000),
        ("reserve", "udp", "53"),
        ("release", "tcp", "ssh"),
    ],
)
def test_what_cannot_be_a_place_is_not_understood(run: Run, words: tuple[str, ...]) -> None:
    """One line about it, and the usage."""
    status, out, err = run(*words)
    assert (status, out) == (USAGE, "") and "egtunnel name" in err
