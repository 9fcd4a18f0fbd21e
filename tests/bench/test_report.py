"""The page made from a result: every loss is told, nothing of the machine's folders, the same each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.goals import behind, missed
from bench.metrics import METRICS
from bench.report import MARK, TEMPLATE, charts, figures, main, newest, page
from bench.result import without_paths
from bench.scale import drawings, section

CHECKOUT = Path(__file__).resolve().parents[2]
OURS, PLAIN = "egtunnel-tcp-tls", "egtunnel-tcp"
MEDIANS = {
    "direct": {"requests_32": 90_000.0, "download": 5000.0},
    "nginx-proxy": {"requests_32": 40_000.0, "cpu_256": 12.0},
    OURS: {"requests_32": 1150.0, "download": 300.0, "cpu_256": 61.0, "idle_relay": 9.0, "loaded_4_bulk": 1.0},
    PLAIN: {"requests_32": 1300.0, "download": 150.0},
    "ssh": {"requests_32": 1000.0, "download": 200.0, "loaded_4_bulk": 9.0},
    "bore": {"requests_32": 1200.0},
}
ENCRYPTS = frozenset({OURS, "ssh"})


def result(
    medians: dict[str, dict[str, float]] = MEDIANS, started: str = "2026-01-02T03:04:05+00:00"
) -> dict[str, Any]:
    samples = [
        {"round": 1, "contender": name, "metric": metric, "value": value}
        for name, row in medians.items()
        for metric, value in row.items()
    ]
    return {
        "format": 1,
        "started": started,
        "commit": "abcdef0123456789",
        "machine": {"processor": "P", "processors": 2, "memory": "1 kB", "kernel": "6", "load": 0.5},
        "versions": {"ssh": "OpenSSH"},
        "options": {"rounds": 5, "seconds": 1, "size_mib": 8, "latency_samples": 9, "idle_connections": 7},
        "bar": "ssh",
        "contenders": {name: {"encrypts": name in ENCRYPTS} for name in medians},
        "skipped": {"frp": "frps is not installed"},
        "medians": medians,
        "samples": samples,
        "failures": [{"round": 1, "contender": "bore", "work": "start", "reason": "no file /tmp/x/y.log"}],
    }


def test_every_row_that_is_lost_is_told_and_no_other() -> None:
    """Against every tunnel; what is no tunnel cannot be lost to, and a row that only explains is no contest."""
    found = {(row.metric.key, row.ours, row.peer): round(row.times, 2) for row in behind(MEDIANS)}
    assert found == {("requests_32", OURS, "bore"): 0.96, ("download", PLAIN, "ssh"): 0.75}


def test_goals_that_are_missed_are_told_with_both_figures() -> None:
    """The goal of processor time is the larger of two: a number of microseconds, and three times the proxy."""
    lines = missed(MEDIANS, ENCRYPTS)
    assert lines == [
        "requests, 32 connections: egtunnel-tcp-tls is 1.15 times as good as ssh; the goal is 1.2",
        "CPU a request, 256 connections: egtunnel-tcp-tls 61.0 us; the goal is at most 60.0 us",
        "an idle visitor of egtunnel-tcp-tls: 9.00 KiB in the relay; the goal is at most 8",
    ]
    dear = {**MEDIANS, "nginx-proxy": {"cpu_256": 21.0}}
    assert not any("CPU" in line for line in missed(dear, ENCRYPTS))


@pytest.mark.parametrize(
    ("alone", "loaded", "peer", "count"), [(1.0, 2.9, 9.0, 0), (1.0, 3.1, 9.0, 2), (1.0, 2.0, 5.0, 1)]
)
def test_latency_under_load_has_two_goals(alone: float, loaded: float, peer: float, count: int) -> None:
    """Three times its own alone, and a third of the best peer's."""
    medians = {OURS: {"latency_p99": alone, "loaded_8_p99": loaded}, "ssh": {"loaded_8_p99": peer}}
    assert sum("p99 beside 8" in line for line in missed(medians, frozenset())) == count


def test_the_page_says_what_is_lost_what_has_no_encryption_and_what_is_missing() -> None:
    """Beside the figures."""
    text = figures(result())
    assert (
        "| requests, 32 connections (1/s) | egtunnel-tcp-tls | 1,150 | bore (no encryption) | 1,200 | 0.96x |" in text
    )
    assert "- not measured: frp: frps is not installed" in text
    assert "- failed: round 1, bore, start: no file y.log" in text
    assert "at commit `abcdef012345`" in text


def test_a_run_without_a_loss_says_so() -> None:
    """Rather than an empty table."""
    text = figures(result({OURS: {"download": 9.0}, "ssh": {"download": 1.0}}))
    assert "In no row of this run." in text
    assert "None of those that this run can judge." in text


def test_charts_hold_only_what_was_measured() -> None:
    """A group without a figure has no file and no picture on the page."""
    assert set(charts(result({"ssh": {"download": 1.0}}))) == {"bulk.svg"}
    assert figures(result({"ssh": {"download": 1.0}})).count("![") == 1


def test_every_chart_on_the_page_is_written_and_a_second_time_the_same(tmp_path: Path) -> None:
    """From the copy of the result that is kept beside the charts."""
    source = tmp_path / "r.json"
    source.write_text(json.dumps(result()))
    assert main([str(source)], tmp_path) == 0
    first = {path.name: path.read_text() for path in (tmp_path / "benchmarks").iterdir()}
    text = (tmp_path / "benchmarks.md").read_text()
    assert all(f"(benchmarks/{name})" in text for name in first if name.endswith(".svg"))
    source.unlink()
    assert main([str(tmp_path / "benchmarks" / "result.json")], tmp_path) == 0
    assert (tmp_path / "benchmarks.md").read_text() == text
    assert {path.name: path.read_text() for path in (tmp_path / "benchmarks").iterdir()} == first


def test_the_newest_result_is_the_one_that_began_last(tmp_path: Path) -> None:
    """Whatever its name; files of another shape are passed over."""
    assert newest(tmp_path) is None
    for name, started in (("z", "2026-01-01"), ("a", "2026-03-01"), ("m", "2026-02-01")):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(started=started)))
    (tmp_path / "other.json").write_text("[]")
    assert newest(tmp_path) == tmp_path / "a.json"


def test_what_is_no_result_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is written."""
    file = tmp_path / "x.json"
    file.write_text("{}")
    assert main([str(file)], tmp_path) == main([str(tmp_path / "none.json")], tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 2
    assert list(tmp_path.iterdir()) == [file]


def test_paths_are_cut_to_their_last_part() -> None:
    """URLs, shares and media types are no paths."""
    assert without_paths("sshd: /tmp/a/b.log: no; http://x/y/z text/plain (/root/x/y)") == (
        "sshd: b.log: no; http://x/y/z text/plain (y)"
    )


def test_the_standing_text_has_one_place_for_figures() -> None:
    """Else a report would lose them."""
    assert TEMPLATE.read_text().count(MARK) == 1
    assert MARK not in page(result())


def test_the_page_in_the_repository_is_the_one_that_its_result_gives() -> None:
    """Changed by hand, it would be lost at the next report: change bench/report.md instead."""
    kept = json.loads((CHECKOUT / "docs" / "benchmarks" / "result.json").read_text())
    scale = json.loads((CHECKOUT / "docs" / "benchmarks" / "scale.json").read_text())
    assert (CHECKOUT / "docs" / "benchmarks.md").read_text() == page(kept, scale)
    for name, text in drawings(scale).items():
        assert (CHECKOUT / "docs" / "benchmarks" / name).read_text() == text
    for name, text in charts(kept).items():
        assert (CHECKOUT / "docs" / "benchmarks" / name).read_text() == text
    assert {sample["metric"] for sample in kept["samples"]} <= {metric.key for metric in METRICS}


def test_idle_ones_are_told_for_each_of_them() -> None:
    """Growth divided by how many there are; what was not measured is neither told nor drawn."""
    visitors = [{"count": 0, "relay_mib": 0.0, "client_mib": 0.0}, {"count": 1024, "relay_mib": 3.0, "client_mib": 9.0}]
    text = section({"started": "2026-01-02T00", "commit": "abc", "visitors": visitors})
    assert "1,024 idle visitors of a TCP tunnel: 3.0 KiB each in the relay, 9.0 KiB in the client" in text
    assert "idle clients" not in text
    assert text.count("![") == 1
