"""One link after another to the relay, each carrying the same session if it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.task import deferLater
from twisted.logger import Logger

from egtunnel.client.backoff import Backoff
from egtunnel.client.calm import Calm
from egtunnel.client.connection import Road, open_link
from egtunnel.client.continuity import Continuity
from egtunnel.client.greeting import GreetingLimits, greet, plain
from egtunnel.client.link_tls import verdict
from egtunnel.errors import ConfigurationError, EgtunnelError, LinkLost, Refused, Revoked, Superseded
from egtunnel.interfaces import ILink
from egtunnel.session.messages import Hello, Welcome
from egtunnel.session.websocket import LinkLimits

__all__ = ["Uplink", "UplinkLimits"]


@attrs.frozen
class UplinkLimits:
    """What a link and its greeting may take."""

    link: LinkLimits = attrs.field(factory=LinkLimits)
    greeting: GreetingLimits = attrs.field(factory=GreetingLimits)


class Uplink:
    """Dials, says hello, carries the session until the link ends, waits, and dials again.

    :param hello: makes the hello of each link; may raise ``Refused``.
    :param on_welcome: told that a relay has let us in.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        road: Road,
        continuity: Continuity,
        backoff: Backoff,
        hello: Callable[[], Hello],
        *,
        say: Callable[[str], None],
        on_welcome: Callable[[], None] = lambda: None,
        limits: UplinkLimits | None = None,
    ) -> None:
        self.continuity = continuity
        self.backoff = backoff
        self._reactor = reactor
        self._road = road
        self._hello = hello
        self._say = say
        self._calm = Calm(say, reactor)
        self._on_welcome = on_welcome
        self._limits = limits or UplinkLimits()
        self._since = reactor.seconds()
        self._carried = 0

    async def run(self) -> EgtunnelError:
        """Go on until no other attempt can help; returns why."""
        while True:
            end = await self._connect_and_serve()
            if fatal(end):
                return end
            connected, self._since = self._reactor.seconds() - self._since, self._reactor.seconds()
            carried, self._carried = self.continuity.carried - self._carried, self.continuity.carried
            await deferLater(self._reactor, self.backoff.next_delay(getattr(end, "after", 0.0), connected, carried))

    async def _connect_and_serve(self) -> EgtunnelError:
        """One link from its first attempt to its end; returns why it ended, or what kept us from a better one."""
        try:
            link, welcome, rest = await self._log_in()
        except Refused as error:
            self._tell_unless_fatal(error, "", "trying again")
            return error
        except EgtunnelError as error:
            self._tell_unless_fatal(error, f"cannot reach the relay at {self._road.url}: ", "trying again")
            return error
        if welcome.resumed is not None and self.continuity.session is not None:
            self._say("connected again; what was under way goes on")
        self.continuity.carry(link, welcome, rest)
        self._carried = self.continuity.carried
        return await self._served()

    async def _served(self) -> EgtunnelError:
        """The end of the link there is; a doubt counts as one, while the link goes on."""
        end = await self.continuity.gone()
        if end is None:
            return LinkLost("the network has changed")
        self._tell_unless_fatal(end, "the connection to the relay is lost: ", "connecting again")
        return end

    async def _log_in(self) -> tuple[ILink, Welcome, bytes]:
        hello = self._hello()
        link = await open_link(self._road, self._reactor, self._limits.link)
        # Only now: until there is another link, the old one may still bring something.
        hello = attrs.evolve(hello, resume=self.continuity.resume())
        try:
            welcome, rest = await greet(link, hello, self._reactor, self._limits.greeting)
        except EgtunnelError as error:
            raise verdict(error, self._road.certified, self._road.secure) from None
        self.log.info("the link to {url} is a {kind} link", url=self._road.url, kind=link.kind)
        self.backoff.reset()
        self._on_welcome()
        self._since = self._reactor.seconds()
        return link, welcome, rest

    def _tell_unless_fatal(self, error: EgtunnelError, what: str, then: str) -> None:
        if not fatal(error):
            self._calm.tell(f"{what}{plain(error.text).rstrip('.')}; {then}")


def fatal(error: EgtunnelError) -> bool:
    """Whether another attempt cannot help: a second client with our own identity would be thrown out by it in turn."""
    return isinstance(error, (Superseded, Revoked, ConfigurationError)) or (
        isinstance(error, Refused) and not error.retry
    )
