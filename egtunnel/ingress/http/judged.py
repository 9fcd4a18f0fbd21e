"""The part of an exchange that stands before its tunnel's rules: asked, let in, and what holds it from then on."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from egtunnel.errors import EgtunnelError
from egtunnel.guard import Answer, Asked, IGuard, Leash
from egtunnel.ingress.http.held_body import HeldBody
from egtunnel.ingress.http.onward import Onward
from egtunnel.ingress.http.pool import Pool
from egtunnel.ingress.http.refusals import Refusal
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http.site import Site
from egtunnel.ingress.http.trial import Trial, asked_of
from egtunnel.ingress.http.upstream import Upstream

__all__ = ["Judged"]


class Judged:
    """What an exchange has of it; ``leash`` holds it, where a rule wants that."""

    __slots__ = (
        "_early",
        "_guard",
        "_held",
        "_onward",
        "_pool",
        "_responder",
        "_sent",
        "_site",
        "_trial",
        "_upstream",
        "_visitor",
        "leash",
    )

    def __init__(self, site: Site, pool: Pool, responder: IResponder, onward: Onward) -> None:
        self._site = site
        self._pool = pool
        self._responder = responder
        self._onward = onward
        self._upstream: Upstream | None = None
        self._visitor: Any = None
        self._guard: Any = None
        self._trial: Trial | None = None
        self._held: HeldBody | None = None
        self.leash: Leash | None = None
        self._early: list[bytes] = []
        self._sent = False

    # -- what an exchange does about it

    def _find(self) -> None:
        """It may go on: find a connection."""
        raise NotImplementedError

    def _finished(self) -> None:
        """It is over."""
        raise NotImplementedError

    def _refuse(self, refusal: Refusal | Answer) -> None:
        """Tell the visitor."""
        raise NotImplementedError

    def defect(self, reason: Failure) -> None:
        """Something failed that cannot."""
        raise NotImplementedError

    def cut_off(self, error: EgtunnelError) -> None:
        """What let the visitor in is over."""
        raise NotImplementedError

    # -- the rules

    def _judge(self, guard: IGuard) -> None:
        asked = self._onward.asked(self._read_body)
        self._guard = guard
        verdict = asked_of(guard, asked, self._visitor)
        if verdict is None and self._trial is None and self._held is None:  # as nearly all are: without a trial
            self._onward.withhold(asked)
            self._hold_on(asked.leash)
            self._ask_again(guard)
        else:
            self._tried(asked).take(verdict)

    def _tried(self, asked: Asked) -> Trial:
        if self._trial is None:
            way = self._site, self, self._responder, self._onward
            self._trial = Trial(*way, self._guard, self._early, self._held, asked=asked, ended=self._sent)
        return self._trial

    def _read_body(self, asked: Asked, most: int) -> Deferred[bytes]:
        return self._tried(asked).read_body(asked, most)

    def passed(self, trial: Trial) -> None:
        """The rules let the request go on, if they are still the same."""
        self._trial = None
        self._held = trial.held
        self._hold_on(trial.leash)
        self._ask_again(trial.guard)
        if trial.paused and self._upstream is not None and not self._upstream.full:
            self._responder.resume_request()

    def _hold_on(self, leash: Leash | None) -> None:
        if leash is not None:
            self.leash = leash
            leash.hold(self)

    def _ask_again(self, judged: IGuard | None) -> None:
        """The rules may have changed while something was waited for."""
        guard = self._pool.tunnel.guard
        if guard is None or guard is judged:
            self._find()
        else:
            self._judge(guard)

    def refused(self, refusal: Refusal | Answer) -> None:
        """The rules do not let the request go on."""
        self._finished()
        self._refuse(refusal)
