"""Tokens of the store at work in one process: asked at logins, watched for revocations; and the audit log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from egtunnel.access.destinations import EVERYWHERE
from egtunnel.access.external import ExternalCheck
from egtunnel.access.fetching import Fetcher
from egtunnel.access.logins import Logins
from egtunnel.access.revocations import Revocations
from egtunnel.errors import EgtunnelError, Refused, StoreError, StoreUnavailable
from egtunnel.relay.admission import Door
from egtunnel.relay.audit import Audit, AuditFile
from egtunnel.relay.authentication import Authenticator
from egtunnel.relay.holdings import holdings_of
from egtunnel.relay.metering import Metering, Quotas
from egtunnel.relay.settings import RelaySettings
from egtunnel.relay.sharing import Sharing
from egtunnel.store.batches import Batches
from egtunnel.store.records import RefusalRecord, TokenRecord
from egtunnel.store.store import Store

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["Membership", "Tell"]

Tell = Callable[[str, dict[str, Any]], None]


class Membership:
    """Everything about clients that is not of this process alone. Without ``settings.store`` it knows no token.

    :param wall: the time of day, in seconds since 1970.
    :param answers: claims are answered in this process, and not in the supervisor of several.
    :param fail: told why the store can never be used.
    :param tell: is told what happens: a word, and JSON values.
    :ivar store: None: there is none.
    :ivar holdings: what the store reserves for owners.
    :ivar sharing: its shares.
    :ivar quotas: of tokens.
    :ivar batches: what nobody waits for, for the store; None without one.
    :raises ConfigurationError: the audit log cannot be written.
    """

    def __init__(
        self,
        reactor: Any,
        settings: RelaySettings,
        wall: Callable[[], float],
        *,
        say: Callable[[str], None],
        fail: Callable[[EgtunnelError], None],
        answers: bool = True,
        tell: Tell = lambda what, words: None,
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._say = say
        self._fail = fail
        self._wait = settings.limits.admission.login
        self._opening: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._ended = False
        self.store = Store(settings.store, reactor, say=say) if settings.store is not None else None
        self.holdings = holdings_of(self.store if answers else None, reactor, wall, settings.resolver)
        self.sharing = Sharing(
            self.store,
            reactor,
            settings,
            wall,
            ready=self._ready,
            tell=lambda what, share: tell(what, {"share": share}),
        )
        self.quotas = Quotas(wall)
        self._metering: Metering | None = None
        self.batches = Batches(self.store, reactor, wall) if self.store is not None else None
        self._file = AuditFile(settings.audit_log, reactor, say) if settings.audit_log is not None else None
        sinks: list[Callable[[RefusalRecord], None]] = [] if self.batches is None else [self.batches.refused]
        sinks.append(lambda record: tell("refused", {"rule": record.rule, "whom": record.whom, "what": record.what}))
        self.audit = Audit(wall, *sinks, *([] if self._file is None else [self._file.write]))
        self._check = _check_of(settings, reactor, wall)
        self._logins = Logins(self._find, reactor.seconds, wall)
        self.authenticator = Authenticator(
            reactor,
            wall,
            settings.limits.attempts,
            note=self.audit.note,
            look=None if self.store is None and self._check is None else self._look,
        )
        self._revocations = Revocations(self._revoked_since, self._revoked, reactor, wall)

    def open(self) -> None:
        """Open the store; logins that come meanwhile wait for it."""
        if self.store is not None:
            self._opening = self.store.open()
            self._opening.addCallbacks(lambda _: None, self._not_opened).addCallback(self._mirror).addCallback(
                self._opened
            )

    def meter(self, door: Door | None) -> None:
        """Count what passes through the sessions of this door, for the store."""
        store, batches = self.store, self.batches
        if store is None or batches is None or door is None:
            return

        def ask(month: str, tokens: list[str]) -> Deferred[dict[str, int]]:
            def read(rows: Rows) -> dict[str, int]:
                found = [rows.usage.of(token, month) for token in tokens]
                return {record.token: record.received + record.sent for record in found}

            return store.read(read)

        self._metering = metering = Metering(
            self._reactor,
            self._wall,
            self.quotas,
            sessions=door.sessions.items,
            passed=batches.passed,
            ask=ask,
        )
        door.over = metering.over
        metering.start()

    def close(self) -> Deferred[None]:
        """Write what was noted, and close the store."""
        if self._metering is not None:
            self._metering.stop()
        self._ended = True
        self._revocations.stop()
        self.holdings.stop()
        self.authenticator.close()
        closed = self.sharing.stop()
        if self.batches is not None:
            batches = self.batches
            closed.addCallback(lambda _: batches.close())
        return closed.addBoth(self._closed)

    # -- the store

    def _not_opened(self, reason: Failure) -> None:
        if reason.check(StoreUnavailable):
            self._say(f"the store is away: {reason.getErrorMessage()}")
            return
        error = reason.value
        if not isinstance(error, EgtunnelError):
            reason.raiseException()
        else:
            with suppress(EgtunnelError):  # a daemon raises it once more, for who started it, if that one still waits
                self._fail(error)

    def _mirror(self, _: None) -> Deferred[None]:
        """Clients may come in when it is known what is reserved."""
        return succeed(None) if self._ended else self.holdings.start()

    def _opened(self, _: None) -> None:
        self._opening = None
        if not self._ended:
            self._revocations.start()
            self.sharing.start()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _closed(self, result: object) -> Deferred[None]:
        if self._file is not None:
            self._file.close()
        return succeed(None) if self.store is None else self.store.close()

    # -- logins

    def _look(self, token: str, address: str) -> Deferred[TokenRecord]:
        check = self._check
        if self.store is None:
            return succeed(None).addCallback(lambda _: self._elsewhere(token, address))
        found: Deferred[TokenRecord] = self._logins.login(token).addCallback(self._used)
        return found if check is None else found.addErrback(self._unknown, token, address)

    def _unknown(self, reason: Failure, token: str, address: str) -> Any:
        """The store does not know it; perhaps somebody else does."""
        error = reason.value
        if isinstance(error, Refused) and error.reason == "bad-token":
            return self._elsewhere(token, address)
        return reason

    def _elsewhere(self, token: str, address: str) -> Deferred[TokenRecord]:
        if self._check is None:
            raise Refused("bad-token", "the relay does not know this token")
        asked = self._check.login(token, address)
        return asked.addTimeout(self._wait, self._reactor, self._late_check)

    def _late_check(self, result: object, seconds: float) -> Any:
        raise Refused("check-away", f"the relay's login check did not answer within {seconds:g} s", retry=True)

    def _used(self, record: TokenRecord) -> TokenRecord:
        if self.batches is not None:
            for token, at in self._logins.take_used().items():
                self.batches.used(token, at)
        return record

    def _find(self, token: str) -> Deferred[TokenRecord | None]:
        """Within the time that a login has: the client does not wait longer."""
        found: Deferred[TokenRecord | None] = self._ready().addCallback(lambda _: self._read(token))
        return found.addTimeout(self._wait, self._reactor, self._late)

    def _ready(self) -> Deferred[None]:
        """Fires when the store has been opened, or could not be."""
        if self._opening is None:
            return succeed(None)
        ready: Deferred[None] = Deferred()
        self._waiting.append(ready)
        return ready

    def _read(self, token: str) -> Deferred[TokenRecord | None]:
        if self.store is None:
            raise StoreUnavailable
        return self.store.read(lambda rows: rows.tokens.find(token))

    def _late(self, result: object, seconds: float) -> Any:
        raise StoreUnavailable(f"the store did not answer within {seconds:g} s")

    # -- revocations

    def _revoked_since(self, moment: float) -> Deferred[list[str]]:
        if self.store is None:
            raise StoreError
        return self.store.read(lambda rows: rows.tokens.revoked_since(moment))

    def _revoked(self, token: str) -> None:
        self._logins.revoked(token)
        self.authenticator.revoked(token)


def _check_of(settings: RelaySettings, reactor: Any, wall: Callable[[], float]) -> ExternalCheck | None:
    """Whoever knows more tokens; the relay's owner said where, so it may be anywhere."""
    if not settings.login_check:
        return None
    fetcher = Fetcher(reactor, settings.limits.access, EVERYWHERE)
    return ExternalCheck(fetcher, settings.login_check, reactor.seconds, wall, settings.limits.check)
