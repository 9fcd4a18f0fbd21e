"""What goes through the tunnels of each token: counted for the store, and held against its monthly quota."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.errors import StoreError
from egtunnel.limits.quota import Quota, month_of
from egtunnel.relay.reservations import Owner
from egtunnel.session.session import Session
from egtunnel.store.records import UsageRecord

__all__ = ["Metering", "Quotas"]

EVERY = 2.0
"""Seconds between two looks at what has passed."""
ASK_EVERY = 5
"""Looks between two questions to the store, what other relays and workers have counted."""


class Quotas:
    """The quotas of tokens that have one, by id. ``wall``: the time of day, in seconds since 1970."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._quotas: dict[str, Quota] = {}

    def __bool__(self) -> bool:
        return bool(self._quotas)

    @property
    def tokens(self) -> list[str]:
        """Those that have one."""
        return list(self._quotas)

    def set(self, token: str, most: int) -> None:
        """So many bytes a month."""
        quota = self._quotas.setdefault(token, Quota(most))
        quota.most = most

    def passed(self, token: str, count: int) -> None:
        """Bytes have gone."""
        quota = self._quotas.get(token)
        if quota is not None:
            quota.add(count, self._wall())

    def restore(self, month: str, used: dict[str, int]) -> None:
        """What is known of a month in the store."""
        for token, count in used.items():
            quota = self._quotas.get(token)
            if quota is not None:
                quota.restore(month, count, self._wall())

    def retry_after(self, token: str) -> int:
        """Seconds until bytes of this token may go again; 0: now."""
        quota = self._quotas.get(token)
        return 0 if quota is None else quota.retry_after(self._wall())

    def left(self, token: str) -> int | None:
        """Bytes that may still go this month; None: any number."""
        quota = self._quotas.get(token)
        return None if quota is None else quota.left(self._wall())


class Metering:
    """Looks at the sessions of this process.

    :param sessions: all of them; companions are counted with theirs.
    :param passed: takes what is to be kept.
    :param ask: asks the store for the month's bytes of some tokens.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        wall: Callable[[], float],
        quotas: Quotas,
        *,
        sessions: Callable[[], Iterable[tuple[Owner, Session]]],
        passed: Callable[[UsageRecord], None],
        ask: Callable[[str, list[str]], Deferred[dict[str, int]]],
    ) -> None:
        self._wall = wall
        self._quotas = quotas
        self._sessions = sessions
        self._passed = passed
        self._ask = ask
        self._seen: dict[Session, tuple[int, int, int]] = {}
        self._turns = 0
        self._call = LoopingCall(self._look)
        self._call.clock = clock

    def start(self) -> None:
        """Look from now on."""
        self._call.start(EVERY)

    def stop(self) -> None:
        """Look for the last time."""
        if self._call.running:
            self._call.stop()
            self._count_all()

    def over(self, owner: Owner, session: Session) -> None:
        """A session has ended: what passed since the last look counts, too."""
        self._count(owner, session)
        self._seen.pop(session, None)

    def _look(self) -> None:
        self._count_all()
        if self._quotas and self._turns % ASK_EVERY == 0:
            month = month_of(self._wall())
            asked = self._ask(month, self._quotas.tokens)
            asked.addCallback(lambda used: self._quotas.restore(month, used)).addErrback(self._not_told)
        self._turns += 1

    def _count_all(self) -> None:
        for owner, session in list(self._sessions()):
            self._count(owner, session)

    def _count(self, owner: Owner, session: Session) -> None:
        received, sent = session.traffic
        opened = sum(each.mux.next_id // 2 - 1 for each in (session, *session.companions))
        now = (opened, received, sent)
        before = self._seen.get(session, (0, 0, 0))
        if now == before:
            return
        # A companion that has gone takes its numbers along: nothing is counted backwards.
        more = [max(0, new - old) for new, old in zip(now, before, strict=True)]
        self._seen[session] = now
        self._quotas.passed(owner.token, more[1] + more[2])
        self._passed(UsageRecord(owner.token, month_of(self._wall()), *more))

    def _not_told(self, reason: Failure) -> Any:
        if not reason.check(StoreError):
            self.log.failure("what tokens have used could not be read", failure=reason)
