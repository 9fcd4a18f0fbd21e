"""The rule ``basic``: a user's name and password (RFC 7617), of which the relay knows slow hashes alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from egtunnel.access.cache import Cache
from egtunnel.access.hashes import check_hash, fits
from egtunnel.access.hashing import Hashing
from egtunnel.access.limits import AccessLimits
from egtunnel.access.wrong import Wrong
from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor, subscriber

__all__ = ["BasicRule", "basic"]

AUTHORIZATION = b"authorization"
TEXT = "This tunnel wants a user's name and password."
WRONG = Denial(401, "password-wanted", TEXT, ((b"WWW-Authenticate", b'Basic realm="This tunnel", charset="UTF-8"'),))
_VERDICTS: dict[Any, Verdict] = {True: None, False: WRONG}
BY_PATH = Denial(403, "password-wanted", "This tunnel asks for passwords on its own host only, not on the relay's.")
"""A browser would show what it was told there to all tunnels that are reached by the relay's own host."""


def basic(value: Any, hashing: Hashing, now: Callable[[], float], limits: AccessLimits) -> BasicRule:
    """The rule: hashes by users' names. Raises AccessError."""
    if not isinstance(value, dict) or not 1 <= len(value) <= limits.users:
        raise AccessError(f"basic: it must be an object of 1 to {limits.users} users")
    for user, kept in value.items():
        if not user or ":" in user or not user.isprintable() or len(user) > limits.credentials:
            raise AccessError(f"basic: {user[:80]!a} cannot be a user's name")
        if not isinstance(kept, str):
            raise AccessError("basic: each user has a hash")
        check_hash(kept, limits)
    return BasicRule({user.encode(): kept for user, kept in value.items()}, hashing, now, limits)


@implementer(IGuard)
class BasicRule:
    """Lets in who shows a user's name and password; the header does not go on.

    What was right is known again for a while, under a keyed digest, so that not every request needs a hash; the same
    from several requests at once is worked out once.
    """

    def __init__(
        self, users: dict[bytes, str], hashing: Hashing, now: Callable[[], float], limits: AccessLimits
    ) -> None:
        self._users = users
        self._decoy = next(iter(users.values()))
        self._hashing = hashing
        self._now = now
        self._limits = limits
        self._secret = secrets.token_bytes(32)
        self._right: Cache[bytes, bool] = Cache(limits.remembered, limits.remember)
        self._wrong = Wrong(limits.wrong, limits.wrong_window)
        self._checks: dict[bytes, list[Deferred[Verdict]]] = {}

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict | Deferred[Verdict]:
        """By ``Authorization``."""
        shown = self._shown(asked)
        if shown is None:
            return BY_PATH if asked.prefix else WRONG
        asked.withhold(AUTHORIZATION)
        digest = hmac.digest(self._secret, shown, hashlib.sha256)
        if self._right.get(digest, self._now()) is not None:
            return None
        address = subscriber(visitor.host)
        wait = self._wrong.wait(address, self._now())
        if wait:
            return _later(wait)
        return self._check(digest, shown, address)

    def admits(self, visitor: Visitor) -> bool:
        """No: without HTTP there is no password."""
        return False

    def _shown(self, asked: Asked) -> bytes | None:
        """Name, colon and password; None: nothing that could be that."""
        values = asked.values(AUTHORIZATION)
        scheme, _, encoded = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        if scheme.lower() != b"basic" or len(encoded) > 2 * self._limits.credentials:
            return None
        try:
            shown = base64.b64decode(encoded.strip(b" "), validate=True)
        except binascii.Error:
            return None
        return shown if b":" in shown and len(shown) <= self._limits.credentials else None

    def _check(self, digest: bytes, shown: bytes, address: str) -> Deferred[Verdict]:
        asking = self._checks.setdefault(digest, [])
        answer: Deferred[Verdict] = Deferred(asking.remove)
        asking.append(answer)
        if len(asking) == 1:
            user, _, password = shown.partition(b":")
            kept = self._users.get(user)
            work = partial(fits, password, kept) if kept is not None else partial(_never, password, self._decoy)
            self._hashing.do(address, work).addBoth(self._checked, digest, address)
        return answer

    def _checked(self, result: Any, digest: bytes, address: str) -> None:
        now = self._now()
        if result is True:
            self._right.put(digest, True, now)
        elif result is False:
            self._wrong.note(address, now)
        for answer in self._checks.pop(digest):
            if not answer.called:
                answer.callback(_VERDICTS.get(result, result))  # a Failure goes down the errback chain


def _never(password: bytes, kept: str) -> bool:
    """Takes as long for a user who is not there as for one who is."""
    fits(password, kept)
    return False


def _later(wait: float) -> Denial:
    """Too many wrong ones."""
    after = b"%d" % max(1, math.ceil(wait))
    return Denial(429, "too-many-wrong", "Too many wrong passwords from your address.", ((b"Retry-After", after),))
