"""The client's tunnels on a session: claim each public name, tell what came of it, claim again on the next session."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from egtunnel.client.backoff import Backoff, BackoffLimits
from egtunnel.client.calm import Calm
from egtunnel.client.greeting import plain
from egtunnel.client.offers import Offer
from egtunnel.errors import HandshakeError, Refused
from egtunnel.session.messages import Claimed, Message, Notice, RefusedMessage, Release, Unknown
from egtunnel.session.session import Session

__all__ = ["Enrolment", "EnrolmentLimits"]


@attrs.frozen
class EnrolmentLimits:
    """``claims``: seconds a relay has to answer all claims. ``notices``: how many notices of a session are heeded."""

    claims: float = 20.0
    notices: int = 20
    backoff: BackoffLimits = attrs.field(factory=BackoffLimits)


class Enrolment:
    """Keeps what this client asks for, by its own numbers, and the public URL each number has.

    A refusal that no retry can help drops its tunnel; when none is left, the session is closed with the last refusal.

    :param say: takes one line for the person at the terminal.
    :param on_claimed: told the offer and its public URL, each time a relay has bound it to another one than before.
    :param random: from 0 up to 1, for the waits.
    """

    log = Logger()

    def __init__(
        self,
        offers: Iterable[Offer],
        *,
        clock: IReactorTime,
        random: Callable[[], float],
        say: Callable[[str], None],
        on_claimed: Callable[[Offer, str], None],
        limits: EnrolmentLimits | None = None,
    ) -> None:
        self.offers = dict(enumerate(offers, 1))
        self.urls: dict[int, str] = {}
        self._clock = clock
        self._say = say
        self._on_claimed = on_claimed
        self._limits = limits or EnrolmentLimits()
        self._calm = {number: Calm(say, clock) for number in self.offers}
        self._backoff = {number: Backoff(random, self._limits.backoff) for number in self.offers}
        self._session: Session | None = None
        self._waiting: set[int] = set()
        self._calls: dict[int, IDelayedCall] = {}
        self._notices = 0
        self._news = False

    def begin(self, session: Session) -> None:
        """Claim everything on a new session."""
        self.end()
        self._session = session
        self._waiting = set(self.offers)
        self._notices = 0
        self._news = not self.urls
        session.on_message = self.message
        self._calls[0] = self._clock.callLater(self._limits.claims, self._late)
        for number, offer in self.offers.items():
            session.send(offer.claim(number))

    def end(self) -> None:
        """The session is over."""
        self._session = None
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if call.active():
                call.cancel()

    def release(self) -> bool:
        """Give back what others serve, too, so that visitors go to them; whether there is anything like that."""
        session = self._session
        shared = [number for number, offer in self.offers.items() if offer.share and number in self.urls]
        if session is None or not shared:
            return False
        self.end()
        for number in shared:
            session.send(Release(number))
        return True

    def message(self, message: Message) -> None:
        """A control message of the relay's."""
        react = self._REACT.get(type(message))
        if react is None:
            self.log.debug("unexpected message {type}", type=message.type)
        else:
            react(self, message)

    def _claimed(self, message: Claimed) -> None:
        number, url = message.tunnel, plain(message.url)
        offer = self.offers.get(number)
        if offer is None or self._session is None:
            return
        self._backoff[number].reset()
        if self.urls.get(number) != url:
            self.urls[number] = url
            self._news = True
            self._say(f"{url} -> {offer.target.text}")
            self._on_claimed(offer, url)
        self._answered(number)

    def _refused(self, message: RefusedMessage) -> None:
        number, text = message.tunnel, plain(message.text)
        refusal = Refused(message.code, text, retry=message.retry, after=message.after)
        session, offer = self._session, self.offers.get(number or 0)
        if session is None:
            return
        if number is None:
            session.close(refusal)  # the login itself was withdrawn
        elif offer is not None:
            if refusal.retry:
                self._calm[number].tell(f"{offer.wish}: {text}; trying again")
                self._claim_later(number, refusal.after)
            else:
                self._drop(session, number, offer, refusal)
            self._answered(number)

    def _claim_later(self, number: int, after: float) -> None:
        def claim() -> None:
            if self._session is not None:
                self._session.send(self.offers[number].claim(number))

        earlier = self._calls.pop(number, None)
        if earlier is not None and earlier.active():
            earlier.cancel()
        self._calls[number] = self._clock.callLater(self._backoff[number].next_delay(after), claim)

    def _drop(self, session: Session, number: int, offer: Offer, refusal: Refused) -> None:
        del self.offers[number]
        self.urls.pop(number, None)
        if self.offers:
            self._news = True
            self._say(f"{offer.wish}: {refusal.text}; going on without it")
        else:
            session.close(refusal)

    def _answered(self, number: int) -> None:
        self._waiting.discard(number)
        if self._waiting or 0 not in self._calls:
            return
        deadline = self._calls.pop(0)
        if deadline.active():
            deadline.cancel()
        if not self._news and self._session is not None:
            self._say("connected again")

    def _late(self) -> None:
        if self._session is not None:
            self._session.close(HandshakeError("the relay did not answer our claims in time"))

    def _notice(self, message: Notice) -> None:
        if self._heeded():
            self._say(f"the relay says: {plain(message.text)}")

    def _unknown(self, message: Unknown) -> None:
        if self._session is not None and self._heeded():
            self._session.send(Notice(f"unknown message {plain(message.type)}"))

    def _heeded(self) -> bool:
        self._notices += 1
        return self._notices <= self._limits.notices

    _REACT: dict[type[Any], Callable[[Enrolment, Any], None]] = {  # noqa: RUF012
        Claimed: _claimed,
        RefusedMessage: _refused,
        Notice: _notice,
        Unknown: _unknown,
    }
