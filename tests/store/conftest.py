"""Stores for tests: SQLite in a folder of its own, a real PostgreSQL, one for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from egtunnel.store.address import StoreAddress, parse_store_address
from egtunnel.store.limits import StoreLimits
from egtunnel.store.store import Store
from tests.store.postgres import Postgres
from tests.store.reactors import Turns


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server; a test that stops it starts it again."""
    server = Postgres()
    yield server
    server.end()


@pytest.fixture
def turns() -> Iterator[Turns]:
    """A reactor."""
    own = Turns()
    yield own
    own.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    """An empty place for a store."""
    if request.param == "sqlite":
        return parse_store_address("", tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return parse_store_address(server.database(), tmp_path)


@pytest.fixture
def store(address: StoreAddress, turns: Turns) -> Iterator[Store]:
    """An open store."""
    opened = Store(address, turns.reactor, StoreLimits(), say=lambda line: None)
    turns.wait(opened.open())
    yield opened
    turns.wait(opened.close())
