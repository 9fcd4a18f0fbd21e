"""The database goes away and comes back; its disk is full."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from egtunnel.errors import ConfigurationError, StoreBusy, StoreFull, StoreUnavailable
from egtunnel.store.address import parse_store_address
from egtunnel.store.database import Database
from egtunnel.store.limits import StoreLimits
from egtunnel.store.records import OwnerRecord, RefusalRecord
from egtunnel.store.store import Store
from tests.store.postgres import Postgres
from tests.store.reactors import Turns

QUICK = StoreLimits(first_retry=0.05, last_retry=0.2, answer=5.0, connect=2.0)


@pytest.fixture
def said() -> list[str]:
    """Lines for a person."""
    return []


@pytest.fixture
def remote(postgres: Postgres, turns: Turns, tmp_path: Path, said: list[str]) -> Iterator[Store]:
    """An open store in PostgreSQL, with one owner."""
    store = Store(parse_store_address(postgres.database(), tmp_path), turns.reactor, QUICK, said.append)
    turns.wait(store.open())
    turns.wait(store.write(lambda rows: rows.owners.create(OwnerRecord("a", "ann", 1.0))))
    yield store
    turns.wait(store.close())


def names(store: Store, turns: Turns) -> list[str]:
    """What a read finds."""
    return [owner.name for owner in turns.wait(store.read(lambda rows: rows.owners.list()))]


def test_postgresql_stopped_and_started_again(remote: Store, turns: Turns, postgres: Postgres, said: list[str]) -> None:
    """Calls fail clearly meanwhile, at once; then everything goes on by itself."""
    postgres.stop()
    try:
        with pytest.raises(StoreUnavailable) as caught:
            names(remote, turns)
        assert not remote.available
        asked = remote.read(lambda rows: rows.owners.list())
        assert asked.called  # no thread waits for what is known to be away
        with pytest.raises(StoreUnavailable):
            turns.wait(asked)
        assert postgres.password not in f"{caught.value!r} {said}"
    finally:
        postgres.start()
    turns.until(lambda: remote.available)
    assert names(remote, turns) == ["ann"]
    assert [line.rpartition(" ")[2] for line in said[1:]] == ["back"]
    assert said[0].startswith("the store is away: the store postgresql://127.0.0.1")


def test_cut_connections_are_replaced_without_a_word(
    remote: Store, turns: Turns, postgres: Postgres, said: list[str]
) -> None:
    """As a pooler or a restart of the server does it."""
    ended = postgres.sql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name='egrelay'"
    )
    assert int(ended) > 0
    assert names(remote, turns) == ["ann"]
    assert said == []


def test_a_store_that_is_away_at_the_start_is_opened_later(
    turns: Turns, postgres: Postgres, tmp_path: Path, said: list[str]
) -> None:
    """The tables are made then."""
    url = postgres.database()
    postgres.stop()
    try:
        store = Store(parse_store_address(url, tmp_path), turns.reactor, QUICK, said.append)
        with pytest.raises(StoreUnavailable):
            turns.wait(store.open())
    finally:
        postgres.start()
    turns.until(lambda: store.available)
    assert names(store, turns) == []
    turns.wait(store.close())
    assert turns.reactor.getDelayedCalls() == []


def test_a_wrong_password_is_not_told(turns: Turns, postgres: Postgres, tmp_path: Path, said: list[str]) -> None:
    """Neither that one nor the right one."""
    url = postgres.url("postgres").replace(postgres.password, "open-sesame")
    store = Store(parse_store_address(url, tmp_path), turns.reactor, QUICK, said.append)
    with pytest.raises(StoreUnavailable) as caught:
        turns.wait(store.open())
    assert "authentication failed" in caught.value.text
    assert "sesame" not in f"{caught.value!r} {said}"
    turns.wait(store.close())


def test_a_server_that_says_nothing_is_given_up(turns: Turns, tmp_path: Path) -> None:
    """It takes the connection and hangs."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/x"
        store = Store(parse_store_address(url, tmp_path), turns.reactor, QUICK, lambda line: None)
        with pytest.raises(StoreUnavailable):
            turns.wait(store.open())
        turns.wait(store.close())


def test_nothing_is_prepared_on_the_server(postgres: Postgres, tmp_path: Path) -> None:
    """A pooler in transaction mode gives each transaction another connection, which would not know it."""
    database = Database(parse_store_address(postgres.database(), tmp_path), QUICK)
    database.prepare()
    for _ in range(20):
        database.read(lambda rows: rows.tokens.find("x"))
    with database._engine.connect() as connection:  # the pool's only one, so it is the one that was used
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one() == 0
    database.close()


def full(database: Database) -> None:
    """No page more than there is now, as on a full disk."""

    @event.listens_for(database._engine, "begin")
    def limit(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # means: what it has


def refusals() -> list[RefusalRecord]:
    """More than fits."""
    return [RefusalRecord(1.0, "scope-names", "192.0.2.7", "x" * 500) for _ in range(2_000)]


def test_a_full_disk_is_named_and_reads_go_on(turns: Turns, tmp_path: Path) -> None:
    """Nothing of the write is kept; the store counts as available; with room it writes again."""
    store = Store(parse_store_address("", tmp_path), turns.reactor, QUICK, lambda line: None)
    turns.wait(store.open())
    turns.wait(store.write(lambda rows: rows.owners.create(OwnerRecord("a", "ann", 1.0))))
    assert store._database is not None
    full(store._database)
    with pytest.raises(StoreFull, match=r"store\.sqlite3 is full"):
        turns.wait(store.write(lambda rows: rows.audit.add(refusals())))
    assert store.available
    assert names(store, turns) == ["ann"]
    assert turns.wait(store.read(lambda rows: rows.audit.list())) == []
    turns.wait(store.close())
    again = Store(parse_store_address("", tmp_path), turns.reactor, QUICK, lambda line: None)
    turns.wait(again.open())
    turns.wait(again.write(lambda rows: rows.audit.add(refusals())))
    turns.wait(again.close())


def test_a_writer_waits_for_another_and_then_gives_up(tmp_path: Path) -> None:
    """A relay that is being replaced may still hold the file; readers are not kept waiting."""
    database = Database(parse_store_address("", tmp_path), StoreLimits(lock=0.2))
    database.prepare()
    begun, gate = threading.Event(), threading.Event()

    def hold(rows: object) -> None:
        begun.set()
        gate.wait(10)

    holder = threading.Thread(target=database.write, args=(hold,))
    holder.start()
    begun.wait(10)
    with pytest.raises(StoreBusy):
        database.write(lambda rows: None)
    assert database.read(lambda rows: rows.owners.list()) == []
    gate.set()
    holder.join()
    database.write(lambda rows: rows.owners.create(OwnerRecord("a", "ann", 1.0)))
    database.close()


def test_a_file_that_cannot_be_made_is_a_matter_of_configuration(turns: Turns, tmp_path: Path) -> None:
    """Trying again would not help."""
    store = Store(parse_store_address("", tmp_path / "missing"), turns.reactor, QUICK, lambda line: None)
    with pytest.raises(ConfigurationError, match="cannot use the store"):
        turns.wait(store.open())
    turns.wait(store.close())
    assert turns.reactor.getDelayedCalls() == []


def test_a_file_that_is_no_database_is_named(turns: Turns, tmp_path: Path) -> None:
    """It is left as it is."""
    (tmp_path / "store.sqlite3").write_text("not a database, and long enough to be read as one" * 40)
    store = Store(parse_store_address("", tmp_path), turns.reactor, QUICK, lambda line: None)
    with pytest.raises(Exception, match=r"store\.sqlite3: file is not a database"):
        turns.wait(store.open())
    turns.wait(store.close())
