"""What version a program says it is."""

from __future__ import annotations

import re
import subprocess

from bench.errors import MissingProgram
from bench.program import find_program

__all__ = ["first_line"]


def first_line(program: str, *arguments: str, pattern: str = "") -> str:
    """The first line that a program prints when asked for its version, or ``unknown``.

    :param pattern: only lines in which it is found count
    """
    try:
        done = subprocess.run(
            [find_program(program), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (MissingProgram, OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = [
        line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip() and re.search(pattern, line)
    ]
    return lines[0] if lines else "unknown"
