"""Who is at the door with a token that is not the relay's own, and what that token may do as long as it is good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hmac import compare_digest
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from egtunnel.access.cache import Cache
from egtunnel.access.scope import Scope
from egtunnel.access.tokens import split
from egtunnel.errors import ConfigurationError, EgtunnelError, Refused, Revoked
from egtunnel.relay.attempts import AttemptLimits, Attempts, source_of
from egtunnel.store.records import TokenRecord

__all__ = ["Authenticator", "Grant"]

MEMORY = 10_000, 30.0
"""Tokens that were revoked a moment ago, and seconds: longer than any login takes."""
LONGEST_TIMER = 86_400.0
"""Seconds: the time of day may be set meanwhile, so that we look at it once a day at least."""

Look = Callable[[str, str], Deferred[TokenRecord]]
"""Asks for a token as it was shown, from an address; fails with Refused."""


@attrs.frozen
class Grant:
    """A token that was good, by id, and its owner's. ``expires`` in seconds since 1970; None: never."""

    id: str
    digest: bytes = attrs.field(repr=False)
    scope: Scope
    expires: float | None = None
    owner: str = ""


class Authenticator:
    """Logins by tokens of the store, if there is one; and the sessions that stand because of them.

    :param wall: the time of day, in seconds since 1970.
    :param note: takes a rule, an address and a text for the audit log.
    :param look: None: there is no store, and no token is good.
    :ivar end: closes all sessions of a token, by id, for a reason.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wall: Callable[[], float],
        limits: AttemptLimits,
        *,
        note: Callable[[str, str, str], None] = lambda rule, whom, what: None,
        look: Look | None = None,
    ) -> None:
        self.end: Callable[[str, EgtunnelError], None] = lambda token, error: None
        self.attempts = Attempts(limits)
        self._clock = clock
        self._wall = wall
        self._note = note
        self._look = look
        self._grants: dict[str, Grant] = {}
        self._sessions: Counter[str] = Counter()
        self._timers: dict[str, IDelayedCall] = {}
        self._revoked: Cache[str, bool] = Cache(*MEMORY)

    # -- logins

    def login(self, token: str, peer: str) -> Deferred[Grant]:
        """What a token may do; fails with Refused. A wrong one is answered later, the more there were from there."""
        source = source_of(peer)
        left = self.attempts.refused_for(source, self._clock.seconds())
        if left:
            text = "too many wrong tokens came from this address; it is refused for a while"
            return fail(Refused("too-many-attempts", text, retry=True, after=left))
        if self._look is None:
            found: Deferred[Grant] = fail(Refused("bad-token", "the relay does not know this token"))
        else:
            found = self._look(token, source).addCallback(self._granted)
        return found.addErrback(lambda reason: self._wrong(reason, source))

    def standing(self, token: str) -> Grant | None:
        """The grant of a token by which sessions stand already, if this is its secret; asks nobody."""
        parts = split(token)
        grant = None if parts is None else self._grants.get(parts[0])
        return grant if parts is not None and grant is not None and compare_digest(grant.digest, parts[1]) else None

    def _granted(self, record: TokenRecord) -> Grant:
        if self._revoked.get(record.id, self._clock.seconds()):
            raise Refused("token-revoked", "this token was revoked")  # while the store was being asked
        try:
            return Grant(record.id, record.digest, Scope.from_json(record.scope), record.expires, record.owner)
        except ConfigurationError as error:
            raise Refused("bad-scope", f"this relay cannot read what this token may do: {error.text}") from None

    def _wrong(self, reason: Failure, source: str) -> Any:
        """The same failure, or a Deferred that fires with it later."""
        error = reason.value
        if not isinstance(error, Refused) or error.reason != "bad-token":
            return reason
        wait = self.attempts.wrong(source, self._clock.seconds())
        if self.attempts.refused_for(source, self._clock.seconds()):
            self._note("too-many-attempts", source, f"refused for {self.attempts.limits.rest:g} seconds")
        return deferLater(self._clock, wait, lambda: reason) if wait else reason

    # -- sessions

    def scope(self, token: str) -> Scope | None:
        """What a token may do, by id, while it has sessions; None: everything, or it has none."""
        grant = self._grants.get(token)
        return None if grant is None else grant.scope

    def holder(self, token: str) -> str:
        """Whose token it is, by id, while it has sessions; empty: nobody's, the relay's own."""
        grant = self._grants.get(token)
        return "" if grant is None else grant.owner

    def entered(self, grant: Grant) -> None:
        """One more session stands because of this grant."""
        self._grants[grant.id] = grant
        self._sessions[grant.id] += 1
        self._arm(grant)

    def left(self, token: str) -> None:
        """One session less, of whatever token."""
        if token not in self._grants:
            return
        self._sessions[token] -= 1
        if self._sessions[token] <= 0:
            del self._sessions[token], self._grants[token]
            self._disarm(token)

    def revoked(self, token: str) -> None:
        """A token, by id, is no longer good: its sessions end."""
        self._revoked.put(token, True, self._clock.seconds())
        if token in self._grants:
            self.end(token, Revoked("this token was revoked"))

    def close(self) -> None:
        """No timers any more."""
        for token in list(self._timers):
            self._disarm(token)

    def _arm(self, grant: Grant) -> None:
        self._disarm(grant.id)
        if grant.expires is not None:
            wait = min(max(0.0, grant.expires - self._wall()), LONGEST_TIMER)
            self._timers[grant.id] = self._clock.callLater(wait, self._expire, grant)

    def _disarm(self, token: str) -> None:
        timer = self._timers.pop(token, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _expire(self, grant: Grant) -> None:
        if grant.expires is None or self._wall() < grant.expires:
            self._arm(grant)
        else:
            self.end(grant.id, Revoked("this token has expired"))
