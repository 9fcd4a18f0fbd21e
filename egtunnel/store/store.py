"""The store as the relay sees it: Deferreds, and a state that says whether the database is there.

Importing this costs nothing: SQLAlchemy is imported by ``open``, in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.errors import StoreBusy, StoreUnavailable
from egtunnel.store.address import StoreAddress
from egtunnel.store.limits import StoreLimits
from egtunnel.store.threads import Reactor, Threads

if TYPE_CHECKING:
    from egtunnel.store.database import Database
    from egtunnel.store.rows import Rows

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """One database, used from the reactor's thread.

    ``store.read(lambda rows: rows.tokens.find(id))`` and ``store.write(...)`` give Deferreds; the function runs in a
    thread and must touch nothing but ``rows`` and values of its own. They fail with StoreUnavailable at once while the
    database is away (``available`` is false); the store looks for it by itself, ever less often. What is asked while it
    is being opened waits for that.

    :param say: takes one line for a person: the database went away, or is back.
    """

    log = Logger()

    def __init__(
        self,
        address: StoreAddress,
        reactor: Reactor,
        limits: StoreLimits | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.address = address
        self.limits = limits or StoreLimits()
        self.available = False
        self._say = say or (lambda line: self.log.info("{line}", line=line))
        self._reactor = reactor
        self._threads = Threads(reactor, self.limits)
        self._database: Database | None = None
        self._call: IDelayedCall | None = None
        self._wait = self.limits.first_retry
        self._closed = False
        self._opening: list[Deferred[None]] | None = None

    def open(self) -> Deferred[None]:
        """Connect and bring the tables up to date.

        Fails with ConfigurationError or StoreError where that cannot help itself; with StoreUnavailable where the
        database is away: the store goes on looking for it then, and may be used as any that went away later.
        """
        self._opening = []
        opened = self._threads.run(self._prepare, self.limits.opening).addCallbacks(self._opened, self._not_opened)
        return opened.addBoth(self._answer_waiting)

    def read(self, work: Callable[[Rows], T]) -> Deferred[T]:
        """What ``work`` finds. It may be run twice."""
        return self._run(lambda database: database.read(work))

    def write(self, work: Callable[[Rows], T]) -> Deferred[T]:
        """What ``work`` returns, once it is kept: all that it wrote, or with an error nothing.

        A write that fails with StoreUnavailable because no answer came may have been done all the same.
        """
        return self._run(lambda database: database.write(work))

    def close(self) -> Deferred[None]:
        """Finish what has begun; afterwards everything fails."""
        self._closed = True
        self.available = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        closed = self._threads.close()
        return closed.addCallback(self._left)

    def _run(self, work: Callable[[Database], T]) -> Deferred[T]:
        if self._opening is not None:
            if len(self._opening) >= self.limits.waiting:
                return fail(StoreBusy("too much waits for the store to be opened"))
            ready: Deferred[None] = Deferred()
            self._opening.append(ready)
            return ready.addCallback(lambda _: self._run(work))
        database = self._database
        if database is None or not self.available:
            return fail(StoreUnavailable(f"the store {self.address.shown} is away"))
        done = self._threads.run(lambda: work(database))
        done.addErrback(self._failed)
        return done

    # -- in a thread

    def _prepare(self) -> Database:
        from egtunnel.store.database import Database  # noqa: PLC0415 - a relay without a store does not pay for it

        database = Database(self.address, self.limits)
        try:
            database.prepare()
        except BaseException:
            database.close()
            raise
        return database

    # -- back in the reactor's thread

    def _answer_waiting(self, result: T) -> T:
        """What was asked while the store was being opened."""
        waiting, self._opening = self._opening or [], None
        for each in waiting:
            if not each.called:  # nobody waits for it any more
                each.callback(None)
        return result

    def _left(self, _: object) -> None:
        if self._database is not None:
            self._database.close()

    def _opened(self, database: Database) -> None:
        if self._closed:
            database.close()
            return
        self._database = database
        self.available = True
        self._wait = self.limits.first_retry

    def _not_opened(self, reason: Failure) -> Failure:
        if reason.check(StoreUnavailable):
            self._away(reason.value)
        return reason

    def _failed(self, reason: Failure) -> Failure:
        if reason.check(StoreUnavailable) and not reason.check(StoreBusy):
            self._away(reason.value)
        return reason

    def _away(self, error: Any) -> None:
        if self._closed or self._call is not None:
            return
        if self.available:
            self._say(f"the store is away: {error}")
        self.available = False
        self._call = self._reactor.callLater(self._wait, self._look)
        self._wait = min(self._wait * 2, self.limits.last_retry)

    def _look(self) -> None:
        self._call = None
        database = self._database
        if database is None:
            self._threads.run(self._prepare, self.limits.opening).addCallbacks(
                self._opened, self._look_failed
            ).addCallback(self._back)
        else:
            self._threads.run(database.ask).addCallbacks(self._back, self._look_failed)

    def _back(self, _: object = None) -> None:
        if self._closed or self._call is not None or self._database is None:
            return
        self.available = True
        self._wait = self.limits.first_retry
        self._say(f"the store {self.address.shown} is back")

    def _look_failed(self, reason: Failure) -> None:
        if reason.check(StoreUnavailable):
            self._away(reason.value)
        elif not self._closed:
            self.log.error("the store: {error}; looking on", error=reason.getErrorMessage())
            self._away(reason.value)
