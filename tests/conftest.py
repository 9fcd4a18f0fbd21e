"""What all tests share: a working folder of their own, as trial's ``mktemp`` makes its folders in the current one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from egtunnel.descriptors import raise_descriptor_limit

raise_descriptor_limit()  # tests with a thousand connections hold both ends of some of them


@pytest.fixture(scope="session", autouse=True)
def _working_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is written into the checkout."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    os.chdir(before)
