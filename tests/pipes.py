"""Two sessions joined in memory, with a clock that stands still: links that can be full, stopped or cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from egtunnel.errors import EgtunnelError, LinkLost
from egtunnel.interfaces import ILink, IRoute
from egtunnel.mux.budget import Budget
from egtunnel.session.messages import Message
from egtunnel.session.session import Role, Session, SessionLimits
from egtunnel.session.transport import ChannelTransport


@implementer(ILink)
class MemoryLink:
    """One end of a link in memory; what is sent waits until the pipe carries it over."""

    peer = "memory"
    secure = False
    kind = "memory"
    stream = False

    def __init__(self) -> None:
        self.receiver: Any = None
        self.sent: deque[bytes] = deque()
        self.messages = 0
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.known = False

    def admitted(self) -> None:
        self.known = True

    def send(self, frames: list[bytes | memoryview]) -> None:
        self.messages += 1
        self.sent.append(b"".join(frames))

    def pause(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def close(self, code: int, text: str) -> None:
        self.closed = (code, text)
        self.receiver = None

    def abort(self) -> None:
        self.aborted = True
        self.receiver = None


@implementer(IHalfCloseableProtocol)
class Recorder(Protocol):
    """Remembers everything that happened to it."""

    def __init__(self) -> None:
        self.received = b""
        self.read_ended = False
        self.write_ended = False
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.read_ended = True

    def writeConnectionLost(self) -> None:
        self.write_ended = True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason

    @property
    def error(self) -> BaseException | None:
        return None if self.lost is None else self.lost.value


@implementer(IRoute)
class Route:
    """The way to an upstream of which there is only one."""

    server = None
    elsewhere = False

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self.connect = endpoint.connect


class Side:
    """One session and what it told."""

    def __init__(self, role: Role, clock: Clock, limits: SessionLimits, budget: Budget, secret: str) -> None:
        self.opened: list[tuple[ChannelTransport, dict[str, Any]]] = []
        self.messages: list[Message] = []
        self.ends: list[EgtunnelError] = []
        self.link = MemoryLink()
        self.session = Session(
            role=role,
            clock=clock,
            limits=limits,
            budget=budget,
            id=role.name.lower(),
            secret=secret,
            on_open=lambda channel, metadata: self.opened.append((channel, metadata)),
            on_message=self.messages.append,
            on_closed=self.ends.append,
        )
        self.session.attach(self.link)

    @property
    def waiting(self) -> int:
        """The bytes that wait in channels: not those that left and are not acknowledged."""
        return self.session.budget.held - self.session.mux.outbound.replay.held


class SessionPair:
    """A relay's and a client's session over one memory link."""

    def __init__(self, limits: SessionLimits | None = None, budget: int = 1 << 26, secret: str = "") -> None:
        self.clock = Clock()
        limits = limits or SessionLimits()
        self.relay = Side(Role.RELAY, self.clock, limits, Budget(budget), secret)
        self.client = Side(Role.CLIENT, self.clock, limits, Budget(budget), secret)
        self.carry()

    def carry(self) -> None:
        """Let turns pass and messages cross until nothing more moves."""
        moving = True
        while moving:
            self.clock.advance(0)
            moving = self._cross(self.relay, self.client) | self._cross(self.client, self.relay)

    def _cross(self, source: Side, target: Side) -> bool:
        moved = bool(source.link.sent)
        while source.link.sent:
            message = source.link.sent.popleft()
            if target.link.receiver is not None:
                target.link.receiver.link_message(message)
        return moved

    def cut(self) -> None:
        """The link breaks for both."""
        for side in (self.relay, self.client):
            if side.link.receiver is not None:
                side.link.receiver.link_lost("cut")

    def join(self) -> None:
        """A new link for both, after whatever happened to the old one."""
        relay, client = self.relay.session, self.client.session
        client.leave(LinkLost("for a new one"))
        relay.resume(client.position)
        client.resume(relay.position)
        for side in (self.relay, self.client):
            side.link = MemoryLink()
            side.session.attach(side.link)
        self.carry()

    def channel(
        self, protocol: Callable[[], Protocol] = Recorder
    ) -> tuple[ChannelTransport, ChannelTransport, Any, Any]:
        """An accepted channel opened by the relay: both transports, both protocols."""
        near = self.relay.session.open({})
        near_protocol = protocol()
        near.connect_protocol(near_protocol)
        self.carry()
        far, _ = self.client.opened[-1]
        far_protocol = protocol()
        far.connect_protocol(far_protocol)
        far.accept()
        self.carry()
        return near, far, near_protocol, far_protocol
