"""The client's tunnels on a session: claim each public name, tell what came of it, claim again on the next session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from egtunnel.client.backoff import Backoff, BackoffLimits
from egtunnel.client.calm import Calm
from egtunnel.client.greeting import plain
from egtunnel.client.offering import Difference, Offering
from egtunnel.client.offers import Offer
from egtunnel.client.sharing import Linking, ShareRequests
from egtunnel.errors import HandshakeError, Refused
from egtunnel.session.messages import Claimed, Message, Notice, RefusedMessage, Release, Shared, Unknown
from egtunnel.session.session import Session

__all__ = ["Enrolment", "EnrolmentLimits"]


UNGUARDED = Refused("bad-access", "this relay knows no rules for visitors, and would let everybody in")


@attrs.frozen
class EnrolmentLimits:
    """``claims``: seconds a relay has to answer all claims. ``notices``: how many notices of a session are heeded."""

    claims: float = 20.0
    notices: int = 20
    backoff: BackoffLimits = attrs.field(factory=BackoffLimits)


class Enrolment:
    """Asks the relay for what this client offers, and keeps the public URL each number has.

    A refusal that no retry can help drops its tunnel; when none is left, the session is closed with the last refusal.

    :param offering: the tunnels; what is dropped is taken out of it.
    :param say: takes one line for the person at the terminal.
    :param on_claimed: told the offer and its public URL, each time a relay has bound it to another one than before.
    :ivar linking: a link that is wanted, too; None: none is.
    :param random: from 0 up to 1, for the waits.
    """

    log = Logger()

    def __init__(
        self,
        offering: Offering,
        *,
        clock: IReactorTime,
        random: Callable[[], float],
        say: Callable[[str], None],
        on_claimed: Callable[[Offer, str], None],
        limits: EnrolmentLimits | None = None,
    ) -> None:
        self.offering = offering
        self.urls: dict[int, str] = {}
        self.linking: Linking | None = None
        self._shares = ShareRequests()
        self._clock = clock
        self._say = say
        self._on_claimed = on_claimed
        self._limits = limits = limits or EnrolmentLimits()
        self._calm = defaultdict[int, Calm](lambda: Calm(say, clock))
        self._backoff = defaultdict[int, Backoff](lambda: Backoff(random, limits.backoff))
        self._session: Session | None = None
        self._waiting: set[int] = set()
        self._calls: dict[int, IDelayedCall] = {}
        self._notices = 0
        self._news = False

    def begin(self, session: Session) -> None:
        """Claim everything on a new session."""
        self.end()
        self._session = session
        self.offering.begin()
        self._waiting = set(self.offering.offers)
        self._notices = 0
        self._news = not self.urls
        session.on_message = self.message
        self._calls[0] = self._clock.callLater(self._limits.claims, self._late)
        for number in self.offering.offers:
            self._ask(session, number)

    def change(self, offers: Iterable[Offer]) -> Difference:
        """Offer these from now on: give back what is not among them, claim what is new or has other settings.

        Raises ConfigurationError, and nothing has changed, if a service cannot be dialed so.
        """
        found = self.offering.change(offers)
        for number in (*found.removed, *found.changed):
            self._cancel(number)
        for number in found.removed:
            for known in (self.urls, self._calm, self._backoff):
                known.pop(number, None)
            self._answered(number)
        if self._session is not None:
            for number in found.removed:  # first: another tunnel may want the name that the relay chose for it
                self._session.send(Release(number))
            for number in (*found.changed, *found.added):
                self._ask(self._session, number)
        return found

    def create_share(self, tunnels: list[int], terms: dict[str, Any]) -> Deferred[Shared]:
        """A link to these tunnels, by our numbers; fails as ``ShareRequests.ask`` says."""
        return self._shares.ask(self._session, tunnels, terms)

    def end(self) -> None:
        """The session is over."""
        self._session = None
        self._shares.lost()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if call.active():
                call.cancel()

    def release(self) -> bool:
        """Give back what others serve, too, so that visitors go to them; whether there is anything like that."""
        session = self._session
        shared = [number for number, offer in self.offering.offers.items() if offer.share and number in self.urls]
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

    def _ask(self, session: Session, number: int) -> None:
        self.offering.asked(number)
        session.send(self.offering.wished(number).claim(number))

    def _claimed(self, message: Claimed) -> None:
        number, url = message.tunnel, plain(message.url)
        if number not in self.offering or self._session is None:
            return
        self.offering.granted(number)
        if self._unguarded(self._session, number, message):
            return
        offer = self.offering.wished(number)
        self._backoff[number].reset()
        if self.urls.get(number) != url:
            self.urls[number] = url
            self._news = True
            self._say(offer.line(url, plain(message.name)))
            self._on_claimed(offer, url)
        self._answered(number)

    def _unguarded(self, session: Session, number: int, message: Claimed) -> bool:
        """Whether the relay, being an older one, gave a name and ignored the rules for its visitors: better no name."""
        served = self.offering.served(number)
        if message.guarded or served is None or not served.offer.access:
            return False
        session.send(Release(number))
        self._drop(session, number, UNGUARDED)
        self._answered(number)
        return True

    def _refused(self, message: RefusedMessage) -> None:
        number, text = message.tunnel, plain(message.text)
        refusal = Refused(message.code, text, retry=message.retry, after=message.after)
        session = self._session
        if session is None:
            return
        if message.share is not None:
            self._shares.refused(attrs.evolve(message, text=text))
        elif number is None:
            session.close(refusal)  # the login itself was withdrawn
        elif number in self.offering and self.offering.refused(number):
            if refusal.retry:
                self._calm[number].tell(f"{self.offering.wished(number).wish}: {text}; trying again")
                self._claim_later(number, refusal.after)
            else:
                self._drop(session, number, refusal)
            self._answered(number)

    def _claim_later(self, number: int, after: float) -> None:
        def claim() -> None:
            if self._session is not None:
                self._ask(self._session, number)

        self._cancel(number)
        self._calls[number] = self._clock.callLater(self._backoff[number].next_delay(after), claim)

    def _cancel(self, number: int) -> None:
        call = self._calls.pop(number, None)
        if call is not None and call.active():
            call.cancel()

    def _drop(self, session: Session, number: int, refusal: Refused) -> None:
        offer = self.offering.drop(number)
        self.urls.pop(number, None)
        if self.offering:
            self._news = True
            self._say(f"{offer.wish}: {refusal.text}; going on without it")
        else:
            session.close(refusal)

    def _answered(self, number: int) -> None:
        self._waiting.discard(number)
        if self._waiting or 0 not in self._calls:
            return
        self._cancel(0)
        session = self._session
        if self.linking is not None and session is not None and self.urls:
            self.linking.begin(lambda terms: self.create_share(list(self.urls), terms), session.close)
        if not self._news and self._session is not None:
            self._say("connected again")

    def _shared(self, message: Shared) -> None:
        self._shares.shared(attrs.evolve(message, link=plain(message.link)))

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
        Shared: _shared,
        Notice: _notice,
        Unknown: _unknown,
    }
