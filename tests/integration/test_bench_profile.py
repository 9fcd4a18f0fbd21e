"""A smoke of the profile: it runs, splits every task, and names no folder of the machine."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from bench.layers import LAYERS
from bench.profile import TASKS, main


def test_every_task_is_split_for_both_daemons(tmp_path: Path) -> None:
    """And the page can be made again from its data."""
    for program in ("nginx", "wrk", "curl", "openssl"):
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            pytest.skip(f"{program} is not installed")
    if os.geteuid() != 0:
        pytest.skip("py-spy may look into other processes only as root")
    assert main(["--seconds", "1", "--size", "32", "--only", "egtunnel-tcp-tls"], tmp_path) == 0
    kept = tmp_path / "benchmarks" / "profile.json"
    costs = json.loads(kept.read_text())["costs"]
    assert [(cost["task"], cost["daemon"]) for cost in costs] == [
        (task.name, side) for task in TASKS for side in ("relay", "client")
    ]
    for cost in costs:
        assert cost["microseconds"] > 0
        assert sum(cost["layers"].values()) > 0
        assert set(cost["layers"]) <= set(LAYERS)
    text = (tmp_path / "profile.md").read_text()
    assert str(tmp_path) not in text
    assert main(["--from", str(kept)], tmp_path) == 0
    assert (tmp_path / "profile.md").read_text() == text
