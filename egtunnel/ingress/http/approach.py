"""A request whose tunnel is not known yet: the way there is asked for first, then the exchange begins."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.errors import EgtunnelError, UpstreamBroke
from egtunnel.guard import Answer, IWay
from egtunnel.ingress.http.exchange import Exchange
from egtunnel.ingress.http.headers import Fields
from egtunnel.ingress.http.onward import Onward
from egtunnel.ingress.http.refusals import Refusal
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http.site import Site
from egtunnel.ingress.http.trial import Trial
from egtunnel.interfaces import Visitor

__all__ = ["Approach", "Begin", "Exchanging"]

Begin = Callable[[], tuple[Exchange, Visitor] | None]
"""Makes the exchange of a request whose way is known; None: it was answered."""


class Approach:
    """What the visitor's side sees of an exchange, before and after there is one; used once.

    :param way: is asked where the request may go. What it lets go on, ``begin`` makes an exchange of.
    """

    log = Logger()

    def __init__(self, site: Site, responder: IResponder, onward: Onward, way: IWay, begin: Begin) -> None:
        self._site = site
        self._responder = responder
        self._onward = onward
        self._begin = begin
        self._early: list[bytes] = []
        self._trailers: Fields = []
        self._ended = self._over = self._paused = False
        self._exchange: Exchange | None = None
        self._trial: Trial | None = Trial(site, self, responder, onward, way, self._early, name="share")

    def start(self, visitor: Visitor) -> None:
        """Ask for the way."""
        if self._trial is not None:
            self._trial.begin(visitor, self._ended)

    # -- what the visitor's side tells

    def body(self, data: bytes) -> None:
        """A piece of the request's body."""
        if self._exchange is not None:
            self._exchange.body(data)
        elif self._trial is not None:
            self._trial.body(data)

    def end(self, trailers: Fields) -> None:
        """The request is complete."""
        self._ended = True
        self._trailers = trailers
        if self._exchange is not None:
            self._exchange.end(trailers)
        elif self._trial is not None:
            self._trial.end()

    def cancel(self) -> None:
        """The visitor has gone."""
        self._over = True
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.cancel()
        if self._exchange is not None:
            self._exchange.cancel()

    def pause(self) -> None:
        """The visitor takes no more for now."""
        self._paused = True
        if self._exchange is not None:
            self._exchange.pause()

    def resume(self) -> None:
        """The visitor takes more."""
        self._paused = False
        if self._exchange is not None:
            self._exchange.resume()

    # -- what the trial tells

    def passed(self, trial: Trial) -> None:
        """The way is known."""
        self._trial = None
        begun = self._begin()
        if begun is None or self._over:
            return
        self._exchange, visitor = begun
        if self._paused:
            self._exchange.pause()
        if trial.leash is not None:
            self._exchange.leash = trial.leash
            trial.leash.hold(self._exchange)
        self._exchange.start(visitor)
        for data in self._early:
            self._exchange.body(data)
        self._early.clear()
        if self._ended:
            self._exchange.end(self._trailers)
        elif trial.paused:
            self._responder.resume_request()

    def refused(self, refusal: Refusal | Answer) -> None:
        """There is no way, for this visitor."""
        self._over = True
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.release()
        self.log.info("{status} {word} for a share", status=refusal.status, word=refusal.word)
        self._site.refuse(self._responder, refusal, self._onward.head.raw)

    def defect(self, reason: Failure) -> None:
        """Something failed that cannot."""
        self.log.failure("a request for a share failed", reason)
        self.cancel()
        error = reason.value
        self._responder.abort(error if isinstance(error, EgtunnelError) else UpstreamBroke())


Exchanging = Exchange | Approach
"""A request under way, as the visitor's side sees it."""
