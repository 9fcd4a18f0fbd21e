"""The store as the threads see it: plain calls that wait. Only ``store.py`` imports this, when a store is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from egtunnel.store.address import StoreAddress
from egtunnel.store.connections import WRITING, make_engine, translate
from egtunnel.store.limits import StoreLimits
from egtunnel.store.migrate import migrate
from egtunnel.store.rows import Rows

__all__ = ["Database"]

T = TypeVar("T")


class Database:
    """An engine with the newest tables.

    Every method may be called from any thread, waits, and raises StoreError or ConfigurationError, nothing of
    SQLAlchemy or of a driver.
    """

    def __init__(self, address: StoreAddress, limits: StoreLimits) -> None:
        self._address = address
        self._engine = make_engine(address, limits)
        writing: dict[str, object] = {WRITING: True}
        self._writing = self._engine.execution_options(**writing)
        # SQLite's reads need their transaction to see one state of the file; PostgreSQL's would cost two round trips.
        plain: dict[str, object] = {} if address.file else {"isolation_level": "AUTOCOMMIT"}
        self._reading = self._engine.execution_options(**plain)

    def prepare(self) -> str:
        """Bring the tables to the newest revision; returns it."""
        with self._translated():
            return migrate(self._engine, self._address.file)

    def read(self, work: Callable[[Rows], T]) -> T:
        """What ``work`` makes of the tables; done twice if the first connection turns out to be dead."""
        try:
            return self._read(work)
        except exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise translate(error, self._address) from None
        except exc.SQLAlchemyError as error:
            raise translate(error, self._address) from None
        with self._translated():
            return self._read(work)

    def write(self, work: Callable[[Rows], T]) -> T:
        """The same in a transaction, which is undone if ``work`` raises."""
        with self._translated(), self._writing.begin() as connection:
            return work(Rows(connection))

    def ask(self) -> None:
        """Whether anybody is there: returns, or raises."""
        with self._translated(), self._reading.connect() as connection:
            connection.execute(sa.select(1))

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    def _read(self, work: Callable[[Rows], T]) -> T:
        with self._reading.connect() as connection:
            return work(Rows(connection))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            raise translate(error, self._address) from None
