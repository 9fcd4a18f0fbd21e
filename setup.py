"""What setup.cfg cannot say: with ``EGTUNNEL_COMPILE=1`` the pure modules of the hot path are compiled by mypyc."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from setuptools import setup

HERE = Path(__file__).resolve().parent


def extensions() -> list[Any]:
    """The modules that pyproject.toml names under ``tool.egtunnel``, as extensions; none unless asked for."""
    if os.environ.get("EGTUNNEL_COMPILE") != "1":
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 - an ordinary build needs no compiler

    settings = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["egtunnel"]
    return mypycify(
        [str(Path(name)) for name in settings["compiled"]], opt_level=os.environ.get("EGTUNNEL_OPTIMIZE", "3")
    )


setup(ext_modules=extensions())
