"""Tables made and changed by the relay itself; a copy of the file is kept first."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from egtunnel.errors import ConfigurationError
from egtunnel.store.address import StoreAddress, parse_store_address
from egtunnel.store.connections import make_engine
from egtunnel.store.database import Database
from egtunnel.store.limits import StoreLimits
from egtunnel.store.metadata import METADATA
from egtunnel.store.migrate import SCRIPTS, migrate
from egtunnel.store.records import OwnerRecord

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "0001"

def upgrade():
    op.add_column("owners", sa.Column("mail", sa.String(64)))
    {fault}
"""


def scripts_with(tmp_path: Path, fault: str = "") -> Path:
    """The package's revisions and one more, which may fail at its end."""
    folder = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, folder)
    (folder / "versions" / "9999_next.py").write_text(NEXT.format(fault=fault))
    return folder


def columns(engine: sa.Engine) -> set[str]:
    """Of the table of owners."""
    return {column["name"] for column in sa.inspect(engine).get_columns("owners")}


@pytest.fixture
def engine(address: StoreAddress) -> sa.Engine:
    """Of an empty database."""
    return make_engine(address, StoreLimits())


def test_the_revisions_make_what_the_code_describes(engine: sa.Engine) -> None:
    """No column, index or constraint is in one and not in the other."""
    migrate(engine, None)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_a_second_time_nothing_is_done(engine: sa.Engine, address: StoreAddress, tmp_path: Path) -> None:
    """And no copy is made, neither of a new store nor of one that is as it should be."""
    assert migrate(engine, address.file) == migrate(engine, address.file)
    assert not list(tmp_path.glob("*.before-*"))
    engine.dispose()


def test_a_failing_revision_changes_nothing(engine: sa.Engine, tmp_path: Path) -> None:
    """Tables are changed in one transaction, on both databases."""
    migrate(engine, None)
    with pytest.raises(ZeroDivisionError):
        migrate(engine, None, scripts=scripts_with(tmp_path, "1 / 0"))
    assert "mail" not in columns(engine)
    shutil.rmtree(tmp_path / "scripts")
    assert migrate(engine, None, scripts=scripts_with(tmp_path)) == "9999"
    assert "mail" in columns(engine)
    engine.dispose()


def test_a_store_of_a_newer_egtunnel_is_left_alone(engine: sa.Engine, address: StoreAddress, tmp_path: Path) -> None:
    """It is said which revision it has."""
    migrate(engine, None, scripts=scripts_with(tmp_path))
    with pytest.raises(ConfigurationError, match=r"newer egtunnel.*9999"):
        Database(address, StoreLimits()).prepare()
    engine.dispose()


def test_of_four_relays_that_start_at_once_one_makes_the_tables(address: StoreAddress) -> None:
    """The others wait for it; in one process here, so the lock of the process is taken out of the way."""
    databases = [Database(address, StoreLimits()) for _ in range(4)]
    found: list[str] = []
    threads = [threading.Thread(target=lambda one=one: found.append(one.prepare())) for one in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for database in databases:
        database.close()


def test_a_file_is_copied_before_it_is_changed(tmp_path: Path) -> None:
    """With what stands in its write-ahead log only; nobody else may read it."""
    address = parse_store_address("", tmp_path)
    database = Database(address, StoreLimits())
    database.prepare()
    database.write(lambda rows: rows.owners.create(OwnerRecord("a", "ann", 1.0)))
    migrate(make_engine(address, StoreLimits()), address.file, scripts=scripts_with(tmp_path))
    copy = tmp_path / "store.sqlite3.before-9999"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    kept = sqlite3.connect(copy)
    assert kept.execute("SELECT id, name FROM owners").fetchall() == [("a", "ann")]
    assert "mail" not in {row[1] for row in kept.execute("PRAGMA table_info(owners)")}
    kept.close()
    assert not list(tmp_path.glob("*.new"))
    database.close()


def test_every_file_of_a_store_is_the_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask; one that was open to others is closed."""
    (tmp_path / "store.sqlite3").touch(0o666)
    (tmp_path / "store.sqlite3").chmod(0o666)
    database = Database(parse_store_address("", tmp_path), StoreLimits())
    database.prepare()
    files = list(tmp_path.glob("store.sqlite3*"))
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    database.close()
