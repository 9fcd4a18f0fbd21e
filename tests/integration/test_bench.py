"""A smoke of the benchmark: it runs, gives every figure, and leaves nothing behind. It says nothing about speed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.metrics import METRICS
from bench.program import find_program
from bench.usage import snapshot

CHECKOUT = Path(__file__).resolve().parents[2]
CONTENDERS = ("direct", "egtunnel-tcp", "egtunnel-http-tls")
SHORT = ("--rounds", "1", "--seconds", "1", "--size", "8", "--latency-samples", "50", "--idle-connections", "20")
NOT_OF_DIRECT = {"cpu_1", "cpu_32", "cpu_256", "cpu_download", "cpu_upload", "idle_relay", "idle_client"}
# Twenty visitors may fit into memory that a process already holds, and a MiB into one tick of the processor's account.
MAY_BE_ZERO = {"idle_relay", "idle_client", "cpu_download", "cpu_upload"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One short run: the finished process, the JSON, and what it left of files and processes."""
    for program in ("nginx", "wrk", "curl", "openssl"):
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("bench")
    temporary = folder / "tmp"
    temporary.mkdir()
    result = folder / "result.json"
    command = [sys.executable, "-m", "bench", "--only", ",".join(CONTENDERS), *SHORT, "--json", str(result)]
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert result.exists(), done.stderr
    return {"done": done, "json": json.loads(result.read_text()), "temporary": temporary}


def test_it_ends_well(run: dict[str, Any]) -> None:
    """Status 0 and no failure."""
    assert run["json"]["failures"] == []
    assert run["done"].returncode == 0, run["done"].stderr


@pytest.mark.parametrize("contender", CONTENDERS)
def test_every_figure_is_there_and_sane(run: dict[str, Any], contender: str) -> None:
    """Each metric once, above zero; the direct way has no relay to account for, a proxy no client."""
    values = {s["metric"]: s["value"] for s in run["json"]["samples"] if s["contender"] == contender}
    missing = {"direct": NOT_OF_DIRECT, "nginx-proxy": {"idle_client"}}.get(contender, set())
    expected = {metric.key for metric in METRICS} - missing
    assert set(values) == expected
    for key, value in values.items():
        assert value > 0 or (key in MAY_BE_ZERO and value > -1024), key
    assert values["latency_p50"] <= values["latency_p99"]
    assert values["loaded_4_p50"] <= values["loaded_4_p99"]
    assert values["loaded_8_p50"] <= values["loaded_8_p99"]


def test_the_table_is_printed(run: dict[str, Any]) -> None:
    """A row for each metric, a column for each contender."""
    lines = run["done"].stdout.splitlines()
    for metric in METRICS:
        assert any(line.startswith(f"| {metric.title} (") for line in lines), metric.title
    assert any(all(contender in line for contender in CONTENDERS) for line in lines)


def test_nothing_is_left_behind(run: dict[str, Any]) -> None:
    """No file in the temporary folder, and no process that was started in it."""
    assert list(run["temporary"].iterdir()) == []
    for pid in snapshot():
        try:
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:  # it has ended, or is not ours to look at
            continue
        assert not folder.startswith(str(run["temporary"])), pid


def test_an_unknown_contender_is_refused_in_one_line() -> None:
    """Before anything is started."""
    command = [sys.executable, "-m", "bench", "--only", "ngrok"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--only: ngrok is not one of" in done.stderr


def test_the_daemons_of_the_upstream_are_looked_for_where_debian_puts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's PATH often lacks /usr/sbin."""
    if not Path("/usr/sbin/nginx").exists():
        pytest.skip("nginx is not in /usr/sbin")
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_program("nginx") == "/usr/sbin/nginx"
