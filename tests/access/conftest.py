"""A reactor for tests of the relay that need threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.reactors import Turns


@pytest.fixture
def turns() -> Iterator[Turns]:
    """Turned by hand."""
    own = Turns()
    yield own
    own.close()
