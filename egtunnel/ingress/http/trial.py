"""One request before the rules of its tunnel: asked, waited for, and what they say told."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.errors import Denied, EgtunnelError, OverLimit
from egtunnel.guard import Answer, Asked, BodyTooLarge, IGuard, Leash, Verdict
from egtunnel.ingress.http.head import RequestHead
from egtunnel.ingress.http.headers import without
from egtunnel.ingress.http.held_body import HeldBody
from egtunnel.ingress.http.onward import Onward
from egtunnel.ingress.http.refusals import DENIED, TOO_MUCH, Refusal
from egtunnel.ingress.http.responder import IResponder
from egtunnel.ingress.http.site import Site
from egtunnel.interfaces import Visitor

__all__ = ["BODY_TOO_LARGE", "UNJUDGED", "Trial", "Tried", "asked_of"]

UNJUDGED = Refusal(
    503, "access-unavailable", "Whether you may use this tunnel cannot be told at the moment.", retry=True
)
BODY_TOO_LARGE = Refusal(413, "body-too-large", "The request is larger than the rules of this tunnel can read.")

_CAUSES = ((BodyTooLarge, BODY_TOO_LARGE), (Denied, DENIED), (OverLimit, TOO_MUCH))


class Tried(Protocol):
    """The exchange whose request it is."""

    def passed(self, trial: Trial) -> None:
        """The rules let it go on."""

    def refused(self, refusal: Refusal | Answer) -> None:
        """They do not."""

    def defect(self, reason: Failure) -> None:
        """What should have followed has failed."""


def asked_of(guard: IGuard, asked: Asked, visitor: Visitor) -> Any:
    """What a guard says; a Failure where it cannot: whatever is wrong with a rule, nobody comes in by it."""
    try:
        return guard.judge(asked, visitor)
    except Exception:  # noqa: BLE001
        return Failure()


class Trial:
    """What becomes of one request; used once.

    :param early: what came of the body and has no place to go to yet; it stays the exchange's. ``held``: the whole
        body, if other rules have read it before. ``name``: whose rules they are, for the log (the tunnel's).
        ``asked``: the request as the guard sees it, if it was asked already. ``ended``: the request is complete.
    :ivar guard: who was asked. ``held``: the body, where the guard wanted to read it. ``paused``: reading has been.
    """

    __slots__ = (
        "_asked",
        "_closed",
        "_deciding",
        "_early",
        "_ended",
        "_name",
        "_onward",
        "_reading",
        "_responder",
        "_site",
        "_timer",
        "_tried",
        "guard",
        "held",
        "paused",
    )

    log = Logger()

    def __init__(
        self,
        site: Site,
        tried: Tried,
        responder: IResponder,
        onward: Onward,
        guard: IGuard,
        early: list[bytes],
        held: HeldBody | None = None,
        name: str = "",
        asked: Asked | None = None,
        ended: bool = False,
    ) -> None:
        self.guard = guard
        self._name = name or onward.tunnel.name
        self.held = held
        self._site = site
        self._tried = tried
        self._responder = responder
        self._onward = onward
        self._early = early
        self._asked: Asked = asked or onward.asked(self.read_body)
        self._deciding: Deferred[Any] | None = None
        self._reading: Deferred[bytes] | None = None
        self._timer: IDelayedCall | None = None
        self._ended = ended
        self._closed = self.paused = False

    def begin(self, visitor: Visitor, ended: bool) -> None:
        """Ask the guard; ``ended``: the request is complete."""
        self._ended = ended
        self.take(asked_of(self.guard, self._asked, visitor))

    def take(self, verdict: Any) -> None:
        """What the guard has said, or will say; a Failure where it could not."""
        if isinstance(verdict, Failure):
            self._failed(verdict)
            return
        if not isinstance(verdict, Deferred):
            self._decided(verdict)
            return
        self._deciding = verdict
        verdict.addCallbacks(self._decided, self._failed)
        verdict.addErrback(self._tried.defect)
        if self._deciding is not None and self._reading is None:
            self._wait()
            if not self._ended:
                self._pause()

    @property
    def leash(self) -> Leash | None:
        """What is to hold the exchange."""
        return self._asked.leash

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        deciding = self._over()
        if deciding is not None:
            deciding.cancel()
        self.release()

    def release(self) -> None:
        """The body is of no use any more."""
        held, self.held = self.held, None
        if held is not None:
            held.release()

    # -- the body, if the guard wants it

    def body(self, data: bytes) -> None:
        """A piece of the request's body."""
        if self.held is None:
            self._early.append(data)  # bounded: reading pauses while the guard thinks
            return
        try:
            self.held.add(data)
        except EgtunnelError as error:
            self._cannot_read(error)

    def end(self) -> None:
        """The request is complete."""
        self._ended = True
        reading, self._reading = self._reading, None
        if reading is not None and self.held is not None:
            self._wait()
            reading.callback(self.held.complete())

    def read_body(self, asked: Asked, most: int) -> Deferred[bytes]:
        """The whole body, for the guard."""
        head = self._onward.head
        if self.held is not None:
            return succeed(self.held.complete()) if self._ended else fail(RuntimeError("the body is being read"))
        if (head.length or 0) > most:
            return fail(BodyTooLarge())
        self._stop_waiting()
        self.held = HeldBody(self._site, most, self._site.limits.held_bodies)
        reading: Deferred[bytes] = Deferred()
        self._reading = reading
        early, self._early[:] = list(self._early), []
        for data in early:
            self.body(data)
        if self._ended:
            self.end()
        elif self._reading is not None:
            self._let_body_come(head)
        return reading

    def _let_body_come(self, head: RequestHead) -> None:
        if any(name == b"Expect" or name == b"expect" for name, _ in head.fields):
            head.fields = without(head.fields, [b"expect"])  # it is answered here, so the service has nothing to say
            self._responder.send_informational(100, b"Continue", [])
        self._responder.resume_request()

    def _cannot_read(self, error: EgtunnelError) -> None:
        reading, self._reading = self._reading, None
        self._pause()
        if reading is not None:
            self._wait()
            reading.errback(error)

    def _pause(self) -> None:
        self.paused = True
        self._responder.pause_request()

    # -- the verdict

    def _wait(self) -> None:
        if self._timer is None and self._deciding is not None:
            self._timer = self._site.clock.callLater(self._site.limits.judge, self._too_long)

    def _stop_waiting(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _over(self) -> Deferred[Any] | None:
        self._closed = True
        deciding, self._deciding, self._reading = self._deciding, None, None
        self._stop_waiting()
        return deciding

    def _decided(self, verdict: Verdict) -> None:
        if self._closed:
            return
        self._over()
        if verdict is None and self.held is not None and not self._ended:
            self.log.error("a rule for visitors let a request go on whose body it was reading")
            self._tried.refused(UNJUDGED)
        elif verdict is None:
            self._go_on()
        elif isinstance(verdict, Answer):
            opens = verdict.status < 300 and self._asked.upgrade  # as HTTP/2 would have it (RFC 8441 section 5)
            self._tried.refused(DENIED if opens else verdict)
        else:
            self._tried.refused(Refusal(verdict.status, verdict.word, verdict.text, headers=verdict.fields))

    def _go_on(self) -> None:
        self._onward.withhold(self._asked)
        self._tried.passed(self)

    def _failed(self, reason: Failure) -> None:
        if not self._closed:
            self._over()
            self._tried.refused(self._refusal_of(reason))

    def _refusal_of(self, reason: Failure) -> Refusal:
        error = reason.value
        for kind, refusal in _CAUSES:
            if isinstance(error, kind):
                return refusal
        if not isinstance(error, EgtunnelError | CancelledError):
            self.log.failure("a rule for visitors failed", reason)
        return UNJUDGED

    def _too_long(self) -> None:
        self.log.warn("a rule for visitors of {tunnel} did not decide in time", tunnel=self._name)
        deciding = self._over()
        self._tried.refused(UNJUDGED)
        if deciding is not None:
            deciding.cancel()
