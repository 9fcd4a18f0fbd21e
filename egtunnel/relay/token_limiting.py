"""Limits of a token at work: one for all its tunnels, beside the one that each of them may have."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.errors import OverLimit
from egtunnel.guard import Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import IRoute, Visitor
from egtunnel.limits.terms import Terms
from egtunnel.relay.limiter import IQuotas, Limiter
from egtunnel.relay.pacing import PacedRoute

__all__ = ["JoinedLimiter", "TokenLimiter"]

TEXT = "The tunnels of this owner get more requests than they may."
QUOTA = "What may go through the tunnels of this owner in a month has gone."


@implementer(IGuard)
class TokenLimiter(Limiter):
    """Keeps the limits of one token. ``connections`` of it are channels to services, whichever tunnel's."""

    __slots__ = ("_quotas", "_token")

    def __init__(self, terms: Terms, clock: IReactorTime, token: str, quotas: IQuotas | None) -> None:
        super().__init__(terms, clock)
        self.judges = True
        self._token = token
        self._quotas = quotas

    @property
    def connections(self) -> int | None:
        """Of one tunnel: any number; they are counted together, on their way."""
        return None

    def route(self, route: IRoute) -> IRoute:
        """The way to the upstream, paced and counted."""
        paced = super().route(route)
        return paced if self.terms.connections is None else CountedRoute(paced, self)

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """Whether one more request may come now."""
        wait = 0 if self._quotas is None else self._quotas.retry_after(self._token)
        if wait:
            return Denial(429, "over-quota", QUOTA, ((b"Retry-After", b"%d" % wait),))
        verdict = super().judge(asked, visitor)
        return Denial(429, "over-token-rate", TEXT, verdict.fields) if isinstance(verdict, Denial) else verdict

    def admits(self, visitor: Visitor) -> bool:
        """Whether one more connection may come now."""
        if self._quotas is not None and self._quotas.retry_after(self._token):
            return False
        return super().admits(visitor)

    def state(self) -> dict[str, Any]:
        """What is left, and how many were refused."""
        left = None if self._quotas is None else self._quotas.left(self._token)
        state = super().state()
        return state if left is None else {**state, "left": {**state["left"], "quota": left}}


@implementer(IGuard)
class JoinedLimiter(Limiter):
    """A tunnel's own limits and those of its token: both have to agree, and the token's are asked first."""

    __slots__ = ("_own", "_shared")

    def __init__(self, own: Limiter, shared: Limiter) -> None:  # nothing of Limiter's: it stands for two
        self._own = own
        self._shared = shared
        self.terms = own.terms
        self.allowance = own.allowance
        self.judges = True

    @property
    def connections(self) -> int | None:
        """The tunnel's."""
        return self._own.connections

    def route(self, route: IRoute) -> IRoute:
        """Paced by both."""
        return self._shared.route(self._own.route(route))

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """Whether one more request may come now."""
        verdict = self._own.judge(asked, visitor)
        return self._shared.judge(asked, visitor) if verdict is None else verdict

    def admits(self, visitor: Visitor) -> bool:
        """Whether one more connection may come now."""
        return self._own.admits(visitor) and self._shared.admits(visitor)

    def state(self) -> dict[str, Any]:
        """Of both."""
        return {**self._own.state(), "token": self._shared.state()}


@implementer(IRoute)
class CountedRoute:
    """The way to an upstream, for as many at once as the token may have."""

    __slots__ = ("_limiter", "_route")

    def __init__(self, route: IRoute, limiter: Limiter) -> None:
        self._route = route
        self._limiter = limiter

    @property
    def server(self) -> Any:
        """As of the route."""
        return self._route.server

    @property
    def elsewhere(self) -> bool:
        """As of the route."""
        return bool(self._route.elsewhere)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """As of the route; fails with OverLimit where there are too many."""
        allowance = self._limiter.allowance
        if not allowance.enter():
            return fail(OverLimit())

        def failed(reason: Failure) -> Failure:
            allowance.leave()
            return reason

        counted = PacedRoute(self._route, None, None, allowance.leave)
        connecting: Deferred[Any] = counted.connect(protocolFactory)
        return connecting.addErrback(failed)
