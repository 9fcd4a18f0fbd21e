"""SQLAlchemy's engine for an address, and what its errors mean; the first module here that imports SQLAlchemy."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool

from egtunnel.errors import ConfigurationError, StoreBusy, StoreConflict, StoreError, StoreFull, StoreUnavailable
from egtunnel.store.address import StoreAddress
from egtunnel.store.limits import StoreLimits

__all__ = ["WRITING", "make_engine", "translate"]

WRITING = "egtunnel_writing"
"""Execution option of a connection whose transaction will write."""
DISK_FULL = "53100"
LOCKED = frozenset({"55P03", "57014", "40001", "40P01"})
"""SQLSTATEs of a lock or a statement that took too long, and of transactions that got in each other's way."""


def make_engine(address: StoreAddress, limits: StoreLimits) -> sa.Engine:
    """An engine with at most one connection for each thread; makes the file of SQLite (0600).

    :raises ConfigurationError: the driver is not installed, or the file cannot be made.
    """
    pool: dict[str, Any] = {"pool_size": limits.threads, "max_overflow": 0, "pool_timeout": limits.answer}
    if address.file is not None:
        return _sqlite(address.file, limits, pool)
    return _postgresql(address, limits, pool)


def _sqlite(file: Path, limits: StoreLimits, pool: dict[str, Any]) -> sa.Engine:
    try:
        # SQLite gives its -wal and -shm files the mode of the file itself.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        file.chmod(0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot use the store {file}: {error.strerror}") from None
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),
        poolclass=QueuePool,
        connect_args={"timeout": limits.lock, "check_same_thread": False},
        hide_parameters=True,
        **pool,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # sqlite3 would begin on its own, too late and not before CREATE TABLE
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # a revoked token stays revoked when the power fails
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        # A reader that turns writer can fail at once with "locked"; who begins as a writer waits for its turn.
        writing = connection.get_execution_options().get(WRITING)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(address: StoreAddress, limits: StoreLimits, pool: dict[str, Any]) -> sa.Engine:
    url = sa.make_url(address.url).set(drivername="postgresql+psycopg")
    arguments: dict[str, Any] = {
        "prepare_threshold": None,  # a pooler gives each transaction another connection: nothing may be prepared
        "connect_timeout": max(1, round(limits.connect)),
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": round(limits.answer * 1000),
    }
    if "application_name" not in url.query:
        arguments["application_name"] = "egrelay"
    try:
        engine = sa.create_engine(
            url,
            connect_args=arguments,
            pool_pre_ping=True,
            pool_recycle=round(limits.recycle),
            pool_use_lifo=True,
            hide_parameters=True,
            **pool,
        )
    except ImportError:
        raise ConfigurationError("a store in PostgreSQL needs psycopg: pip install 'egtunnel[postgresql]'") from None
    waits = f"SET LOCAL lock_timeout = {round(limits.lock * 1000)}"
    whole = f"SET LOCAL statement_timeout = {round(limits.answer * 1000)}"

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(WRITING):  # reads run without a transaction: one round trip
            connection.exec_driver_sql(f"{waits}; {whole}")

    return engine


def translate(error: exc.SQLAlchemyError, address: StoreAddress) -> StoreError:
    """What went wrong, for a person; no statement, no value and no password is in it."""
    if isinstance(error, exc.TimeoutError):
        return StoreBusy("every connection to the store is in use")
    if not isinstance(error, exc.DBAPIError):
        return StoreError(f"the store {address.shown}: {type(error).__name__}")
    cause: Any = error.orig
    state = getattr(cause, "sqlstate", None) or ""
    code = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
    if isinstance(error, exc.IntegrityError):
        return StoreConflict()
    if state == DISK_FULL or code == sqlite3.SQLITE_FULL:
        return StoreFull(f"the disk of the store {address.shown} is full: it can be read and not written")
    if state in LOCKED or code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"the store {address.shown} is busy")
    lines = address.without_secrets(str(cause)).strip().splitlines() or [type(cause).__name__]
    text = f"the store {address.shown}: {lines[0][:300]}"
    if error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError):
        return StoreUnavailable(text)
    return StoreError(text)
