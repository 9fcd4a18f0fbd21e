"""A store behind a pooler in transaction mode: each transaction may run on another connection of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from egtunnel.store.address import parse_store_address
from egtunnel.store.limits import StoreLimits
from egtunnel.store.records import OwnerRecord
from egtunnel.store.store import Store
from tests.store.pooler import Pooler
from tests.store.postgres import Postgres
from tests.store.reactors import Turns


@pytest.fixture
def pooler(postgres: Postgres) -> Iterator[Pooler]:
    """Before the server of all tests."""
    started = Pooler(postgres)
    yield started
    started.end()


def test_a_store_behind_a_pooler(pooler: Pooler, postgres: Postgres, turns: Turns, tmp_path: Path) -> None:
    """Tables are made, and eight threads read and write through three connections."""
    url = postgres.database().replace(f":{postgres.port}/", f":{pooler.port}/")
    store = Store(parse_store_address(url, tmp_path), turns.reactor, StoreLimits(threads=8), lambda line: None)
    turns.wait(store.open())
    made = [
        store.write(lambda rows, n=n: rows.owners.create(OwnerRecord(f"o{n}", f"n{n}", 1.0)))  # type: ignore[misc]
        for n in range(40)
    ]
    for one in made:
        turns.wait(one)
    found = [store.read(lambda rows: rows.owners.list()) for _ in range(40)]
    assert {len(turns.wait(one)) for one in found} == {40}
    turns.wait(store.close())
