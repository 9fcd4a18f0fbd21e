"""One request and its response: dial or reuse an upstream connection, pass both bodies on, answer for every failure.

Knows neither how the visitor's side is framed nor how it is transported.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.errors import EgtunnelError, LinkLost, UpstreamBroke, UpstreamSlow
from egtunnel.guard import Answer, RulesChanged
from egtunnel.ingress.http.head import ResponseHead
from egtunnel.ingress.http.headers import Fields, trailers_to_pass
from egtunnel.ingress.http.held_body import HeldBody
from egtunnel.ingress.http.judged import Judged
from egtunnel.ingress.http.onward import Onward
from egtunnel.ingress.http.refusals import Refusal, refusal_for
from egtunnel.ingress.http.repeating import may_repeat
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http.server_cookie import ServerCookie
from egtunnel.ingress.http.site import Site
from egtunnel.ingress.http.switching import may_switch, switch
from egtunnel.ingress.http.upstream import Upstream
from egtunnel.interfaces import IRoute, ITunnel, Visitor

__all__ = ["Exchange"]


class Exchange(Judged):
    """From the head of a request to the end of its response; used once.

    The visitor's side calls ``start``, then ``body`` and ``end``, and ``cancel`` if the visitor goes; ``pause`` and
    ``resume`` hold back the response.
    """

    __slots__ = (
        "_cookie",
        "_dialing",
        "_head",
        "_idle",
        "_over",
        "_paused",
        "_repeated",
        "_reused",
        "_route",
        "_started",
        "_timer",
        "_trailers",
    )

    log = Logger()

    def __init__(
        self, site: Site, tunnel: ITunnel, responder: IResponder, onward: Onward, cookie: ServerCookie | None = None
    ) -> None:
        super().__init__(site, site.pool(tunnel), responder, onward)
        self._head = onward.head
        self._cookie = cookie
        self._route: IRoute | None = None
        self._dialing: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._trailers: Fields = []
        self._idle: float | None = None
        self._reused = self._repeated = self._started = self._paused = self._over = False

    def start(self, visitor: Visitor) -> None:
        """Find a connection and send the head. The dialer is asked each time: it may refuse this visitor."""
        pool = self._pool
        refusal = pool.begin(visitor.host)
        if refusal is not None:
            self._over = True
            self._refuse(refusal)
            return
        self._visitor = visitor
        guard = pool.tunnel.guard
        if guard is None:
            self._find()
        else:
            self._judge(guard)

    def _find(self) -> None:
        pool, head = self._pool, self._head
        try:
            self._route = route = pool.tunnel.dialer(self._visitor)
        except EgtunnelError as error:
            self.response_failed(error)
            return
        upstream = None if head.upgrade else pool.take(head.idempotent, route.server)
        if upstream is None:
            self._dial(route)
        else:
            self._reused = True
            self._send_on(upstream)

    # -- what the visitor's side tells

    def body(self, data: bytes) -> None:
        """A piece of the request's body."""
        if self._upstream is not None:
            self._upstream.send_body(data)
        elif self._trial is not None:
            self._trial.body(data)
        elif not self._over:
            self._early.append(data)  # bounded: reading pauses while there is no connection

    def end(self, trailers: Fields) -> None:
        """The request is complete."""
        self._sent = True
        if trailers:
            policy, trailers = self._pool.tunnel.policy, trailers_to_pass(trailers)
            self._trailers = trailers if policy is None else policy.strip_request(trailers)
        if self._trial is not None:
            self._trial.end()
        elif self._upstream is not None:
            self._upstream.end_request(self._trailers)

    def cancel(self) -> None:
        """The visitor has gone, or what it sends cannot be read."""
        if self._over:
            return
        self._finished()
        dialing, self._dialing = self._dialing, None
        upstream, self._upstream = self._upstream, None
        if dialing is not None:
            dialing.cancel()
        if upstream is not None:
            upstream.abandon()

    def cut_off(self, error: EgtunnelError) -> None:
        """What let the visitor in is over."""
        if not self._over:
            self.cancel()
            self._responder.abort(error)

    def pause(self) -> None:
        """The visitor takes no more for now."""
        self._paused = True
        if self._upstream is not None:
            self._upstream.pause()

    def resume(self) -> None:
        """The visitor takes more."""
        self._paused = False
        if self._upstream is not None:
            self._upstream.resume()

    # -- dialing

    def _dial(self, route: IRoute) -> None:
        dialing: Deferred[Any] = route.connect(self._pool)
        self._dialing = dialing
        dialing.addCallbacks(self._connected, self._not_connected)
        dialing.addErrback(self.defect)
        if self._dialing is not None:
            self._timer = self._site.clock.callLater(self._pool.limits.dial, self._dialed_too_long)
            if not self._sent:
                self._responder.pause_request()

    def _connected(self, upstream: Upstream) -> None:
        self._dialed()
        if self._over:
            upstream.abandon()
            return
        self._send_on(upstream)
        if not upstream.full:
            self._responder.resume_request()

    def _not_connected(self, reason: Failure) -> None:
        self._dialed()
        if self._over:
            return
        if reason.check(RulesChanged):
            self._ask_again(None)
        else:
            self.response_failed(reason.value or UpstreamBroke())

    def _dialed(self) -> None:
        self._dialing = None
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None

    def _dialed_too_long(self) -> None:
        dialing, self._dialing = self._dialing, None
        self.response_failed(UpstreamSlow())
        if dialing is not None:
            dialing.cancel()

    def defect(self, reason: Failure) -> None:
        """Something failed that cannot."""
        self.log.failure("an exchange failed", reason)
        self.cancel()
        self._responder.abort(UpstreamBroke())

    def _send_on(self, upstream: Upstream) -> None:
        self._upstream = upstream
        upstream.begin(self, self._onward)
        if self._held is not None:
            if self._paused:
                upstream.pause()
            self._feed(self._held)
            return
        early, self._early = self._early, []
        for data in early:
            upstream.send_body(data)
        if self._paused:
            upstream.pause()
        if self._sent and self._upstream is upstream:
            upstream.end_request(self._trailers)

    def _feed(self, held: HeldBody) -> None:
        """Pass on a body that was held, as fast as the upstream takes it; that may want more within the call."""
        upstream = self._upstream
        while self._held is held and upstream is not None and not upstream.full and upstream is self._upstream:
            data = held.take()
            if data:
                upstream.send_body(data)
                continue
            self._held = None
            held.release()
            upstream.end_request(self._trailers)
            return

    # -- what the upstream tells

    def upstream_full(self, full: bool, read: int = 0) -> None:
        """The upstream takes no more of the request, or takes more again."""
        if full:
            self._responder.pause_request()
        elif self._held is not None:
            self._feed(self._held)
        else:
            self._responder.resume_request(read)

    def response_head(self, head: ResponseHead) -> None:
        """Pass on a head."""
        if head.status >= 200:
            self._started = True
            self._idle = head.idle if head.keep_alive else 0.0
            length = None if head.chunked else head.length
            self._responder.send_head(head.status, head.reason, self._edited(head.fields), length, head.bodiless)
        elif head.status == 101:
            self._switch(head)
        else:
            policy = self._pool.tunnel.policy
            fields = head.fields if policy is None else policy.strip_response(head.fields)
            self._responder.send_informational(head.status, head.reason, fields)

    def _edited(self, fields: Fields) -> Fields:
        """A response's fields as the tunnel's policy wants them."""
        policy = self._pool.tunnel.policy
        if policy is not None:
            fields = policy.edit_response(fields, self._head.host.value)
        if self._cookie is not None and self._route is not None:
            fields = [*fields, *self._cookie.field(self._route.server)]
        return fields

    def response_body(self, data: bytes) -> None:
        """Pass on a piece of the body."""
        self._responder.send_body(data)

    def response_flush(self) -> None:
        """Let what was passed on leave."""
        self._responder.flush()

    def response_end(self, trailers: Fields) -> None:
        """Keep the connection first, so that the visitor's next request finds it."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            if not self._sent or self._held is not None:
                upstream.abandon()
            elif self._idle == 0.0 or not upstream.reusable:
                upstream.close()
            else:
                self._pool.put(upstream, self._idle, None if self._route is None else self._route.server)
        self._finished()
        if trailers:
            policy, trailers = self._pool.tunnel.policy, trailers_to_pass(trailers)
            trailers = trailers if policy is None else policy.strip_response(trailers)
        self._responder.finish(trailers)

    def response_failed(self, error: BaseException) -> None:
        """Try once more if that is safe; else say what is wrong, or cut the visitor off if it has had a part."""
        upstream, self._upstream = self._upstream, None
        if self._over:
            return
        if self._route is not None and self._may_repeat(self._route, upstream, error):
            self._repeated = True
            self._dial(self._route)
            return
        self._finished()
        if self._started:
            self._responder.abort(error if isinstance(error, EgtunnelError) else UpstreamBroke())
        else:
            self._refuse(refusal_for(error))

    def movable(self) -> bool:
        """Whether the request may go to another server instead of the one it was sent to."""
        route = self._route
        return route is not None and route.elsewhere and self._may_repeat(route, self._upstream, LinkLost())

    def _may_repeat(self, route: IRoute, upstream: Upstream | None, error: BaseException) -> bool:
        done = self._repeated or upstream is None or not upstream.untouched
        return not done and may_repeat(self._head, error, self._reused or route.elsewhere)

    def _refuse(self, refusal: Refusal | Answer) -> None:
        self.log.info(
            "{status} {word} for tunnel {tunnel}",
            status=refusal.status,
            word=refusal.word,
            tunnel=self._pool.tunnel.name,
        )
        self._site.refuse(self._responder, refusal, self._head.raw, self._pool.tunnel.name)

    def _finished(self) -> None:
        if not self._over:
            self._over = True
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            self._pool.over(self._visitor.host)
            if self.leash is not None:
                self.leash.let_go(self)
            trial, self._trial = self._trial, None
            if trial is not None:
                trial.cancel()
            elif self._held is not None:
                self._held.release()

    # -- upgrades

    def _switch(self, head: ResponseHead) -> None:
        upstream = self._upstream
        if upstream is None or not may_switch(upstream, self._head, head):
            if upstream is not None:
                upstream.abandon()
            self.response_failed(UpstreamBroke("the upstream switched to what nobody asked for"))
            return
        self._upstream = None
        self._finished()
        switch(upstream, head, self._edited(head.fields), self._responder, self.leash)
