"""Brings a database to the newest revision; of a file a copy is kept first."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from egtunnel.errors import ConfigurationError, StoreError, StoreFull
from egtunnel.store.connections import WRITING

__all__ = ["SCRIPTS", "migrate"]

SCRIPTS = Path(__file__).with_name("migrations")
ADVISORY_LOCK = 0x6567_7475_6E6E
"""Of PostgreSQL: several relays that start at once migrate one after the other."""
_ONE_AT_A_TIME = Lock()
"""Alembic's ``op`` is one for the whole process."""


def migrate(engine: sa.Engine, file: Path | None, target: str = "head", scripts: Path = SCRIPTS) -> str:
    """Run what is missing up to ``target``, in one transaction; returns the revision that the database has then.

    :param file: of SQLite; where it holds tables already, it is copied to ``<file>.before-<revision>`` (0600) first.
    :raises ConfigurationError: the database was written by a newer egtunnel.
    :raises StoreError: the copy cannot be made.
    """
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    directory = ScriptDirectory.from_config(config)
    wanted = str(directory.as_revision_number(target))
    with _ONE_AT_A_TIME, engine.connect().execution_options(**{WRITING: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        present = MigrationContext.configure(connection).get_current_revision()
        if present == wanted:
            return present
        _known(directory, present)
        if file is not None and present is not None:
            _keep(file, wanted)
        _run(config, directory, connection, target)
    return wanted


def _run(config: Config, directory: ScriptDirectory, connection: sa.Connection, target: str) -> None:
    def steps(revision: Any, context: object) -> Any:
        return directory._upgrade_revs(target, revision)  # as alembic.command.upgrade does

    # No env.py: that is for the command line of Alembic, and would be told all this in a roundabout way.
    environment = EnvironmentContext(config, directory, fn=steps)
    environment.configure(connection=connection)
    environment.run_migrations()


def _known(directory: ScriptDirectory, revision: str | None) -> None:
    try:
        directory.get_revision(revision or "base")
    except CommandError:
        text = f"the store is of a newer egtunnel (its revision is {revision!a}); use that one, or a copy from before"
        raise ConfigurationError(text) from None


def _keep(file: Path, revision: str) -> None:
    """Copy by SQLite's own means: what still stands in the write-ahead log comes along."""
    copy = file.with_name(f"{file.name}.before-{revision}")
    unfinished = file.with_name(f"{copy.name}.new")
    try:
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with (
            contextlib.closing(sqlite3.connect(file)) as source,
            contextlib.closing(sqlite3.connect(unfinished)) as target,
        ):
            source.backup(target)
        unfinished.replace(copy)
    except (OSError, sqlite3.Error) as error:
        unfinished.unlink(missing_ok=True)
        kind = StoreFull if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL else StoreError
        raise kind(f"cannot copy the store to {copy}, which is done before it is changed: {error}") from None
