"""A small relay on a loopback socket, whose answers the test chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from egtunnel.eager_tls import EagerTlsFactory
from egtunnel.errors import EgtunnelError
from egtunnel.interfaces import ILink, ILinkReceiver
from egtunnel.mux.budget import Budget
from egtunnel.mux.frames import FrameDecoder, FrameType, encode
from egtunnel.session import messages
from egtunnel.session.messages import Claim, Claimed, Hello, Message, Release, Welcome
from egtunnel.session.session import Role, Session, SessionLimits
from egtunnel.session.websocket import LinkLimits, link_server_factory


def welcome(_: Hello) -> Message:
    """Anybody is welcome."""
    return Welcome(session_id="s1", domain="localhost")


def granted(claim: Claim) -> Message:
    """Any name is free."""
    return Claimed(claim.tunnel, f"http://{claim.name or 'any'}.localhost", claim.name)


class FakeRelay:
    """Remembers hellos, sessions and how they ended.

    ``greet`` and ``grant`` are its answers; the frames of ``behind`` follow the first in the same message.
    """

    def __init__(self, reactor: Any, port: int = 0, tls: Any = None) -> None:
        self.reactor = reactor
        self.greet: Callable[[Hello], Message] = welcome
        self.grant: Callable[[Claim], Message] = granted
        self.behind: list[bytes] = []
        self.hellos: list[Hello] = []
        self.links: list[ILink] = []
        self.sessions: list[Session] = []
        self.released: list[int] = []
        self.ends: list[EgtunnelError] = []
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        factory = link_server_factory(self._linked, LinkLimits(), reactor)
        if tls is None:
            self.listening = reactor.listenTCP(port, factory, interface="127.0.0.1")
        else:
            self.listening = reactor.listenTCP(port, EagerTlsFactory(tls, False, factory), interface="127.0.0.1")
        self.port: int = self.listening.getHost().port

    async def stop(self) -> None:
        """Listen no longer and drop every link, as a kill would."""
        if self.listening.connected:
            await self.listening.stopListening()
        for link in self.links:
            link.abort()
        for session in self.sessions:
            session.link_lost("killed")

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires once the condition holds after something has happened here."""
        happened: Deferred[None] = Deferred()
        self._waiting.append((condition, happened))
        self.look()
        return happened

    def look(self, *_: object) -> None:
        """Something has happened."""
        due = [entry for entry in self._waiting if entry[0]()]
        self._waiting = [entry for entry in self._waiting if entry not in due]
        for _condition, happened in due:
            happened.callback(None)

    def _linked(self, link: ILink) -> None:
        self.links.append(link)
        link.receiver = Door(self, link)

    def said_hello(self, link: ILink, hello: Hello) -> None:
        """The first message of a link."""
        self.hellos.append(hello)
        answer = self.greet(hello)
        link.send([encode(FrameType.MESSAGE, 0, messages.encode(answer)), *self.behind])
        if isinstance(answer, Welcome):
            self._begin(link)
        else:
            link.close(0, "refused")
        self.look()

    def _begin(self, link: ILink) -> None:
        def on_message(message: Message) -> None:
            if isinstance(message, Claim):
                session.send(self.grant(message))
            elif isinstance(message, Release):
                self.released.append(message.tunnel)
            self.look()

        def on_closed(error: EgtunnelError) -> None:
            self.ends.append(error)
            self.look()

        session = Session(
            role=Role.RELAY,
            clock=self.reactor,
            limits=SessionLimits(),
            budget=Budget(1 << 26),
            on_message=on_message,
            on_closed=on_closed,
        )
        self.sessions.append(session)
        session.attach(link)


@implementer(ILinkReceiver)
class Door:
    """Reads the hello of a new link."""

    def __init__(self, relay: FakeRelay, link: ILink) -> None:
        self.relay = relay
        self.link = link

    def link_message(self, data: bytes) -> None:
        frames, _ = FrameDecoder().feed(data)
        hello = messages.decode(frames[0].payload)
        assert isinstance(hello, Hello)
        self.relay.said_hello(self.link, hello)

    def link_paused(self) -> None:
        """Nothing is sent here."""

    def link_resumed(self) -> None:
        """Nothing is sent here."""

    def link_lost(self, reason: str) -> None:
        """The client went before its hello."""
