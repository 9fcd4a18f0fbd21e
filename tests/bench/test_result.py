"""The JSON of a run, what is printed of it, and the machine it names."""

from __future__ import annotations

import json
from pathlib import Path

from bench.contenders.base import Contender
from bench.contenders.direct import Direct
from bench.contenders.egtunnel import EGTUNNELS, EGTUNNELS_TLS
from bench.contenders.openssh import OpenSsh
from bench.machine import commit, describe_machine, field_of, versions
from bench.metrics import METRICS, Failure, Sample
from bench.result import as_json, as_text, write
from bench.rounds import Record

CONTENDERS: list[Contender] = [Direct(), OpenSsh()]
RECORD = Record(
    [Sample(n, "ssh", "requests_32", value) for n, value in ((1, 10.0), (2, 30.0), (3, 20.0))],
    [Failure(2, "direct", "upload", "status 500")],
)


def test_the_json_holds_every_sample_and_every_failure(tmp_path: Path) -> None:
    """And goes through a file unharmed, into a folder that was not there."""
    path = tmp_path / "results" / "x.json"
    write(path, as_json(RECORD, CONTENDERS, {"frp": "frps is not installed"}, {"commit": "abc"}))
    read = json.loads(path.read_text())
    assert [sample["value"] for sample in read["samples"]] == [10, 30, 20]
    assert read["samples"][0] == {"round": 1, "contender": "ssh", "metric": "requests_32", "value": 10}
    assert read["failures"] == [{"round": 2, "contender": "direct", "work": "upload", "reason": "status 500"}]
    assert read["medians"] == {"ssh": {"requests_32": 20}}
    assert read["contenders"] == {"direct": {"encrypts": False}, "ssh": {"encrypts": True}}
    assert (read["skipped"], read["commit"], read["bar"]) == ({"frp": "frps is not installed"}, "abc", "ssh")
    assert set(read["metrics"]) == {metric.key for metric in METRICS}


def test_the_text_says_what_is_missing_and_who_encrypts() -> None:
    """Below the table stands everything that the table cannot show."""
    text = as_text(RECORD, CONTENDERS, {"frp": "frps is not installed"})
    assert "ssh *" in text
    assert "direct *" not in text
    assert "not measured: frp: frps is not installed" in text
    assert "failed: round 2, direct, upload: status 500" in text


def test_the_text_says_what_tls_costs() -> None:
    """Each figure over TLS against the same without, whichever way is better."""
    figures = {"egtunnel-http": (100.0, 2.0), "egtunnel-http-tls": (70.0, 4.0), "egtunnel-tcp-tls": (50.0, 1.0)}
    samples = []
    for name, (download, latency) in figures.items():
        samples += [Sample(1, name, "download", download), Sample(1, name, "latency_p50", latency)]
    text = as_text(Record(samples, []), [*EGTUNNELS, *EGTUNNELS_TLS], {})
    assert "egtunnel-http-tls, as good as egtunnel-http (1.00): download 0.70, latency_p50 0.50\n" in text
    assert "as good as egtunnel-tcp" not in text
    assert "as good as egtunnel-http" not in as_text(RECORD, CONTENDERS, {})


def test_a_field_of_proc_is_found_by_its_name() -> None:
    """The first one, and only by its whole name."""
    text = "model\t\t: 85\nmodel name\t: Fast : Chip\nmodel name\t: Other\n"
    assert field_of(text, "model name") == "Fast : Chip"
    assert field_of(text, "name") == "unknown"


def test_the_machine_is_described() -> None:
    """Enough to know later what the figures were taken on."""
    machine = describe_machine()
    assert int(machine["processors"]) >= 1
    assert str(machine["memory"]).endswith("kB")
    assert machine["kernel"]
    assert commit()


def test_versions_name_every_contender_and_the_tools() -> None:
    """A figure without a version cannot be compared."""
    found = versions(CONTENDERS)
    assert {"direct", "ssh", "python", "nginx", "wrk", "curl", "Twisted"} <= set(found)
    assert found["Twisted"][0].isdigit()
