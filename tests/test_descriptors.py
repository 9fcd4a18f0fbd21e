"""Daemons take as many file descriptors as they may."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
from egtunnel.descriptors import raise_descriptor_limit
print(raise_descriptor_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_becomes_the_hard_one() -> None:
    """Of 64 allowed and 128 possible it takes 128."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["128", "128", "128"]
