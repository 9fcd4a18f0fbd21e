"""Limits as claims and the relay write them, and who keeps them: of a tunnel, of all tunnels of a token."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

import attrs
from twisted.internet.interfaces import IReactorTime

from egtunnel.guard import AccessError
from egtunnel.limits.bucket import Rate
from egtunnel.limits.terms import Terms, bandwidth_of, rate_of
from egtunnel.relay.limiter import IQuotas, Limiter
from egtunnel.relay.token_limiting import JoinedLimiter, TokenLimiter

__all__ = ["RULE", "TOKEN_RULE", "Limiter", "Limiting", "read_terms", "read_token_terms"]

RULE = "limits"
"""Its name among the rules of a claim."""
TOKEN_RULE = "token-limits"
"""What the relay itself adds for all tunnels of a token together."""
TOKEN_MEMBERS = ("rate", "connections", "bandwidth-in", "bandwidth-out", "quota")
MEMBERS = ("rate", "burst", "rate-per-address", "connections", "bandwidth-in", "bandwidth-out")


def read_terms(value: Any) -> Terms:
    """What a claim says of limits. Raises AccessError."""
    if not isinstance(value, dict) or not value or set(value) - set(MEMBERS):
        raise AccessError(f"{RULE}: it must be an object of some of {', '.join(MEMBERS)}")
    burst, connections = value.get("burst", 0), value.get("connections")
    if type(burst) is not int or burst < 0 or ("burst" in value and "rate" not in value):
        raise AccessError(f"{RULE}: burst is a whole number above 0, beside a rate")
    if connections is not None and (type(connections) is not int or connections < 1):
        raise AccessError(f"{RULE}: connections is a whole number above 0")
    try:
        return Terms(
            _text(value, "rate", lambda text: rate_of(text, burst)),
            _text(value, "rate-per-address", rate_of),
            connections,
            _text(value, "bandwidth-in", bandwidth_of),
            _text(value, "bandwidth-out", bandwidth_of),
        )
    except ValueError as error:
        raise AccessError(f"{RULE}: {error}") from None


def read_token_terms(value: Any) -> tuple[str, Terms, int | None]:
    """The token's id, its limits, and bytes a month, as the relay wrote them. Raises AccessError."""
    if not isinstance(value, dict) or set(value) - {"token", *TOKEN_MEMBERS} or not isinstance(value.get("token"), str):
        raise AccessError(f"{TOKEN_RULE}: it must be an object of token and some of {', '.join(TOKEN_MEMBERS)}")
    plain = {name: each for name, each in value.items() if name not in ("token", "quota")}
    try:
        quota = None if "quota" not in value else bandwidth_of(value["quota"])
    except (TypeError, ValueError) as error:
        raise AccessError(f"{TOKEN_RULE}: {error}") from None
    return value["token"], read_terms(plain) if plain else Terms(), quota


def _text(value: dict[str, Any], name: str, read: Any) -> Any:
    text = value.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"{name} is a text")
    return read(text)


class Limiting:
    """Makes limiters; ``bounds`` hold for every tunnel, whatever its claim says.

    :param parts: processes that visitors come to: each keeps its equal part of every limit.
    :param quotas: of tokens; None: there are none.
    """

    def __init__(
        self, clock: IReactorTime, bounds: Terms | None = None, parts: int = 1, quotas: IQuotas | None = None
    ) -> None:
        self._clock = clock
        self._quotas = quotas
        self._tokens: WeakValueDictionary[tuple[str, Terms], Limiter] = WeakValueDictionary()
        self._bounds = bounds or Terms()
        self._parts = parts

    def limiter(self, value: Any, token: Any = None) -> Limiter | None:
        """The one of a claim, whose value None is none, and of its token; None: nothing to keep. Raises AccessError."""
        terms = self._bounds if value is None else read_terms(value).within(self._bounds)
        own = None if terms == Terms() else Limiter(part_of(terms, self._parts), self._clock)
        if token is None:
            return own
        shared = self._of_token(*read_token_terms(token))
        return shared if own is None else JoinedLimiter(own, shared)

    def _of_token(self, token: str, terms: Terms, quota: int | None) -> Limiter:
        """One for all tunnels of a token, as long as one of them stands."""
        if quota is not None and self._quotas is not None:
            self._quotas.set(token, quota)
        key = token, terms
        limiter = self._tokens.get(key)
        if limiter is None:
            limiter = TokenLimiter(part_of(terms, self._parts), self._clock, token, self._quotas)
            self._tokens[key] = limiter
        return limiter


def part_of(terms: Terms, parts: int) -> Terms:
    """An equal part of the limits for each of several processes, at least as much as lets one request through."""
    if parts == 1:
        return terms
    return attrs.evolve(
        terms,
        rate=_slower(terms.rate, parts),
        rate_per_address=_slower(terms.rate_per_address, parts),
        connections=_fewer(terms.connections, parts),
        bandwidth_in=_fewer(terms.bandwidth_in, parts),
        bandwidth_out=_fewer(terms.bandwidth_out, parts),
    )


def _slower(rate: Rate | None, parts: int) -> Rate | None:
    return None if rate is None else Rate(rate.amount, rate.period * parts, max(1, rate.most // parts))


def _fewer(number: int | None, parts: int) -> int | None:
    return None if number is None else max(1, number // parts)
