"""The client's composition root: reach the relay, again and again; serve the visitors it sends from local services."""

from __future__ import annotations

import os
import random as standard_random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel import __version__
from egtunnel.client.backoff import Backoff, BackoffLimits
from egtunnel.client.companions import Companions
from egtunnel.client.connection import Farewell, Road, road
from egtunnel.client.continuity import Continuity
from egtunnel.client.drain import drained
from egtunnel.client.enrolment import Enrolment, EnrolmentLimits
from egtunnel.client.greeting import GreetingLimits
from egtunnel.client.identity import Identity, IdentityLimits, hold_identity
from egtunnel.client.link_headers import LinkHeaders
from egtunnel.client.link_tls import RelayTls
from egtunnel.client.networks import NetworkChanges
from egtunnel.client.offering import Difference, Offering
from egtunnel.client.offers import Offer
from egtunnel.client.proxies import Proxy
from egtunnel.client.relay_address import RelayAddress
from egtunnel.client.sleep import Sleep
from egtunnel.client.termination import TerminationLimits
from egtunnel.client.udp_visitors import UDPVisitors
from egtunnel.client.uplink import Uplink, UplinkLimits
from egtunnel.client.upstream import UpstreamLimits
from egtunnel.client.visiting import Doors, VisitLimits
from egtunnel.client.visitors import Visitors
from egtunnel.datagrams import DatagramLimits
from egtunnel.errors import ConfigurationError, EgtunnelError, ShuttingDown
from egtunnel.mux.budget import Budget
from egtunnel.session.messages import Hello, Shared
from egtunnel.session.session import Session, SessionLimits
from egtunnel.session.websocket import LinkLimits

__all__ = ["Client", "ClientLimits"]


@attrs.frozen
class ClientLimits:
    """All limits of a client. Sizes in bytes, times in seconds.

    ``budget``: held for all channels. ``heartbeat``: the shortest and the longest that a relay may ask for.
    ``farewell``: how long a stop waits for the relay. ``drain``: how long before that it serves on what is under way,
    where others serve the same names. ``loopback``: the longest wait between attempts to reach a relay
    on this machine, where an attempt costs next to nothing.
    """

    backoff: BackoffLimits = attrs.field(factory=BackoffLimits)
    dial: UpstreamLimits = attrs.field(factory=UpstreamLimits)
    termination: TerminationLimits = attrs.field(factory=TerminationLimits)
    greeting: GreetingLimits = attrs.field(factory=GreetingLimits)
    enrolment: EnrolmentLimits = attrs.field(factory=EnrolmentLimits)
    identity: IdentityLimits = attrs.field(factory=IdentityLimits)
    link: LinkLimits = attrs.field(factory=LinkLimits)
    session: SessionLimits = attrs.field(factory=SessionLimits)
    visit: VisitLimits = attrs.field(factory=VisitLimits)
    datagrams: DatagramLimits = attrs.field(factory=DatagramLimits)
    budget: int = 64 * 1024 * 1024
    heartbeat: tuple[float, float] = (1.0, 60.0)
    farewell: float = 3.0
    drain: float = 10.0
    loopback: float = 2.0


def _ignore(*_: Any) -> None:
    return None


class Client(Service):
    """Gives local services a public address through a relay, for as long as it runs.

    Usable without twistd: ``Client(reactor, relay, token, offers).startService()``.

    :param token: gives the token, asked anew for each connection; may raise ``Refused`` (tried again if that says so).
    :param state: the state folder; None: the client has a new identity each time it is started.
    :param relay_tls: whom to believe for the relay, and what to show it.
    :param insecure: send the token unencrypted to another machine, too.
    :param links: how many links there are at once.
    :param proxy: what stands between this machine and the relay; None: nothing.
    :param headers: of the WebSocket's request.
    :param sources: addresses of this machine from which the links come, in turn; none: any.
    :param say: takes one line for a person.
    :param on_claimed: told an offer and its public URL.
    :param on_fatal: told why the client has given up; nothing happens after that.
    :raises ConfigurationError: what is asked for cannot work or would give the token away.
    """

    name = "egclient"
    log = Logger()

    def __init__(
        self,
        reactor: Any,
        relay: RelayAddress,
        token: Callable[[], str],
        offers: Sequence[Offer],
        *,
        state: Path | None = None,
        relay_tls: RelayTls = RelayTls(),  # noqa: B008 - a frozen value
        insecure: bool = False,
        links: int = 1,
        sources: Sequence[str] = (),
        proxy: Proxy | None = None,
        headers: LinkHeaders = LinkHeaders(),  # noqa: B008 - a frozen value
        say: Callable[[str], None] = _ignore,
        on_claimed: Callable[[Offer, str], None] = _ignore,
        on_fatal: Callable[[EgtunnelError], None] = _ignore,
        random: Callable[[], float] = standard_random.random,
        random_bytes: Callable[[int], bytes] = os.urandom,
        limits: ClientLimits | None = None,
    ) -> None:
        if not (relay.secure or relay.loopback or insecure):
            raise ConfigurationError(
                f"the token would travel unencrypted to {relay.host}: use a wss:// or https:// URL, or --insecure"
            )
        self.limits = limits = limits or ClientLimits()
        self._reactor = reactor
        self._relay = relay
        self._token = token
        self._state = state
        self._random_bytes = random_bytes
        self._say = say
        self._on_fatal = on_fatal
        self._random = random
        self._roads = [
            road(reactor, relay, relay_tls, limits.dial, source, proxy, headers) for source in sources or ("",)
        ]
        self._doubts = relay_tls.doubts()
        self._offering = Offering(
            offers,
            lambda offer: offer.dialer(reactor, limits.dial),
            lambda offer: offer.termination(reactor, limits.termination),
        )
        self.enrolment = Enrolment(
            self._offering, clock=reactor, random=random, say=say, on_claimed=on_claimed, limits=limits.enrolment
        )
        self.visitors = Visitors(self._offering, say, reactor, UDPVisitors(reactor, limits.datagrams))
        self._doors = Doors(reactor, lambda: self.session, self._visited, say, limits.visit)
        self._budget = Budget(limits.budget)
        self._companions = Companions(range(2, links + 1), self._companion, say)
        self._uplink = self._make_uplink(1, self._roads[0], self._hello, begin=self._begun, end=self._over)
        self._watches = (Sleep(reactor, self._doubt), NetworkChanges(reactor, self._doubt))
        self._identity: Identity | None = None
        self._client_id = ""
        self._loop: Deferred[None] = succeed(None)

    @property
    def session(self) -> Session | None:
        """The session there is, with a link or waiting for one."""
        return self._uplink.continuity.session

    @property
    def failures(self) -> int:
        """How many attempts in a row have failed; 0 once a relay has said welcome."""
        return self._uplink.backoff.failures

    def change(self, offers: Sequence[Offer]) -> Difference:
        """Share these services from now on, at least one; connections in progress of what is removed go on.

        Raises ConfigurationError, and nothing has changed, if one of them cannot be reached so.
        """
        found = self.enrolment.change(offers)
        if self._identity is not None and found:
            try:
                self._identity.remember([offer.identity for offer in offers], self.limits.identity)
            except OSError as error:
                self.log.warn("cannot keep state in {state}: {error}", state=str(self._state), error=error.strerror)
        return found

    def create_share(
        self,
        *urls: str,
        services: Sequence[Any] = (),
        permissions: Sequence[str] = ("read",),
        expires_in: str = "7d",
        **more: Any,
    ) -> Deferred[Shared]:
        """A link that lets in who has it; what it gives has ``link``, ``id`` and ``expires``.

        :param urls: public URLs of tunnels of this client; none: all that it has.
        :param services: path prefixes, or objects of ``name``, ``tunnel`` (host) and ``prefix``; none: everything.
        :param permissions: ``read``, ``write``, or methods.
        :param expires_in: as ``7d``, or ``never``.
        :param more: ``uses``, ``passphrase``, ``note``.

        Fails with Refused, or with LinkLost while there is no relay. The store of the relay keeps the share.
        """
        known = self.enrolment.urls
        numbers = [number for number, url in known.items() if not urls or url in urls]
        terms = {"services": list(services), "permissions": list(permissions), "expires_in": expires_in, **more}
        return self.enrolment.create_share(numbers, terms)

    # -- the service

    def startService(self) -> None:
        """Take an identity and connect."""
        super().startService()
        for line in self._doubts:
            self._say(line)
        self._loop = Deferred.fromCoroutine(self._run())
        self._loop.addErrback(self._ended)

    def stopService(self) -> Deferred[None]:
        """Tell the relay, and stop; fires once the link is gone.

        Where others serve the same names, too, what is under way is finished first.
        """
        super().stopService()
        for watch in self._watches:
            watch.stop()
        self._loop.cancel()
        self._doors.close()
        session, drain = self.session, self.limits.drain
        if session is None or not session.online or not drain or not self.enrolment.release():
            return self._leave()
        if session.channels:
            self._say(f"no new visitors; serving those there are for up to {drain:g} seconds")
        return drained(session, self._reactor, drain).addCallback(lambda _: self._leave())

    def _leave(self) -> Deferred[None]:
        link = self._uplink.continuity.link
        farewell = Farewell()
        for sessions in (self._companions, self._uplink.continuity):
            sessions.close(ShuttingDown("the client is shutting down"))
        if link is None:
            farewell.link_lost("there is none")
        else:
            link.receiver = farewell
            farewell.gone.addTimeout(self.limits.farewell, self._reactor).addErrback(_ignore)
        return farewell.gone.addCallback(self._release_identity)

    def _release_identity(self, _: None) -> None:
        if self._identity is not None:
            self._identity.release()

    def _ended(self, reason: Failure) -> None:
        if not reason.check(CancelledError):
            self.log.failure("the client failed", reason)
            self._on_fatal(EgtunnelError(f"a defect in egtunnel: {reason.getErrorMessage()}"))

    async def _run(self) -> None:
        self._on_fatal(await self._until_fatal())

    async def _until_fatal(self) -> EgtunnelError:
        try:
            for offer in self._offering.offers.values():
                if offer.listen is not None:
                    self._doors.open(offer.name, offer.listen)
            self._take_identity()
        except ConfigurationError as error:
            return error
        return await self._uplink.run()

    def _hello(self) -> Hello:
        return Hello(token=self._token(), client_id=self._client_id, agent=f"egtunnel/{__version__}")

    def _make_uplink(self, number: int, road: Road, hello: Callable[[], Hello], **tellings: Any) -> Uplink:
        """The uplink of one link and of the sessions that it carries."""
        limits = self.limits
        most = min(limits.backoff.most, limits.loopback) if self._relay.loopback else limits.backoff.most
        continuity = Continuity(
            self._reactor, limits.session, limits.heartbeat, self._budget, on_open=self.visitors.opened, **tellings
        )
        return Uplink(
            self._reactor,
            road,
            continuity,
            Backoff(self._random, attrs.evolve(limits.backoff, most=most)),
            hello,
            say=self._say
            if number == 1
            else lambda line: self.log.info("link {number}: {line}", number=number, line=line),
            on_welcome=self._watch,
            limits=UplinkLimits(limits.link, limits.greeting),
        )

    def _companion(self, number: int, joining: Callable[[Hello], Hello]) -> Uplink:
        road = self._roads[(number - 1) % len(self._roads)]
        return self._make_uplink(number, road, lambda: joining(self._hello()), begin=_ignore, end=_ignore)

    def _begun(self, session: Session) -> None:
        self.enrolment.begin(session)
        self._companions.begin(session)

    def _over(self) -> None:
        self._companions.end()
        self.enrolment.end()

    def _watch(self) -> None:
        for watch in self._watches:
            watch.start()

    def _doubt(self, *_: Any) -> None:
        self._uplink.continuity.doubt()
        self._companions.doubt()

    def _visited(self, name: str) -> int | None:
        """The number under which the relay lets us visit a private tunnel."""
        for number, offer in self._offering.offers.items():
            if offer.kind == "visit" and offer.name == name and number in self.enrolment.urls:
                return number
        return None

    def _take_identity(self) -> None:
        self._client_id = self._random_bytes(16).hex()
        if self._state is None:
            return
        tunnels = [offer.identity for offer in self._offering.offers.values()]
        try:
            self._identity = hold_identity(
                self._state, self._relay.url, tunnels, self._random_bytes, self.limits.identity
            )
        except OSError as error:
            self._say(f"cannot keep state in {self._state} ({error.strerror}): the public name may change at a restart")
        else:
            self._client_id = self._identity.client_id
