"""The command line of the benchmark."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.contenders import CONTENDERS, ONLY_WHEN_ASKED
from bench.contenders.egtunnel import Egtunnel
from bench.options import RESULTS, parse
from bench.work import WORK
from bench.work.base import Scale

NOON = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)


def test_without_options_everything_is_measured_three_times() -> None:
    """The full run of the issue: 1 GiB each way, 1,000 idle visitors."""
    options = parse([], NOON)
    assert (options.rounds, options.scale) == (3, Scale(5, 1024, 2000, 1000))
    assert [c.name for c in options.contenders] == [c.name for c in CONTENDERS if c.name not in ONLY_WHEN_ASKED]
    assert options.work == WORK
    assert options.json == RESULTS / "20261123T120005Z.json"


def test_quick_is_one_short_round() -> None:
    """And whatever else is given still counts."""
    assert parse(["--quick"]).rounds == 1
    assert parse(["--quick"]).scale.size_mib < 1024
    assert parse(["--quick", "--size", "7"]).scale == Scale(1, 7, 500, 200)


def test_only_and_work_choose_in_our_order() -> None:
    """Each once, whatever the order they are named in."""
    options = parse(["--only", "ssh, direct,ssh", "--work", "upload,requests-32"])
    assert [contender.name for contender in options.contenders] == ["direct", "ssh"]
    assert [piece.name for piece in options.work] == ["requests-32", "upload"]
    assert options.named
    assert not parse([]).named


def test_tls_takes_part_when_asked() -> None:
    """By the switch, beside what the same is without it, or by name."""
    assert parse(["--tls"]).contenders == CONTENDERS
    assert not parse(["--tls"]).named
    for arguments in (["--only", "egtunnel-http", "--tls"], ["--only", "egtunnel-http-tls,egtunnel-http"]):
        names = [contender.name for contender in parse(arguments).contenders]
        assert names == ["egtunnel-http", "egtunnel-http-tls"]
    assert [contender.name for contender in parse(["--only", "direct", "--tls"]).contenders] == ["direct"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--only", "ngrok"], "--only: ngrok is not one of direct"),
        (["--only", ","], "--only: nothing is not one of"),
        (["--work", "sleep"], "--work: sleep is not one of"),
        (["--rounds", "0"], "0 is not at least 1"),
        (["--size", "many"], "invalid"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and a line that names the option."""
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_the_json_goes_where_it_is_told(tmp_path: Path) -> None:
    """Relative paths count from where the command was given."""
    assert parse(["--json", str(tmp_path / "x.json")]).json == tmp_path / "x.json"


def test_egtunnel_as_it_was_built_elsewhere_takes_part_beside_itself(tmp_path: Path) -> None:
    """The others are run once; what was compiled is said so."""
    folder = tmp_path / "compiled"
    chosen = parse(["--only", "direct,egtunnel-tcp,ssh", "--package", str(folder)]).contenders
    assert [each.name for each in chosen] == ["direct", "egtunnel-tcp", "egtunnel-tcp-compiled", "ssh"]
    plain, built = (each for each in chosen if isinstance(each, Egtunnel))
    assert (plain.checkout == folder, built.checkout) == (False, folder)
    (folder / "egtunnel/mux").mkdir(parents=True)
    assert not built.version().endswith("compiled")
    (folder / "egtunnel/mux/mux.so").touch()
    assert built.version().endswith(", compiled")
