"""A relay's inner parts in memory, with a clock that stands still, and clients that speak the real protocol to it."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.task import Clock

from egtunnel.access.scope import Scope
from egtunnel.errors import EgtunnelError, LinkLost
from egtunnel.mux.budget import Budget
from egtunnel.mux.frames import FrameDecoder, FrameType
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.admission import AdmissionLimits, Door, message_frame
from egtunnel.relay.claims import ClaimLimits, Claims
from egtunnel.relay.health import ServerLimits
from egtunnel.relay.holdings import Holdings
from egtunnel.relay.reservations import Owner, Place, ReservationLimits, Reservations
from egtunnel.relay.tokens import Tokens
from egtunnel.relay.tunnels import Tunnel, TunnelTable
from egtunnel.relay.waiting import WaitingLimits, WaitingRoom
from egtunnel.session.messages import Claim, Claimed, Hello, Message, RefusedMessage, Welcome, decode
from egtunnel.session.session import Role, Session, SessionLimits
from egtunnel.session.transport import ChannelTransport
from tests.pipes import MemoryLink, Recorder

TOKEN = "the-token-of-this-relay"


@attrs.frozen
class HouseLimits:
    """The limits that a test may want to reach."""

    admission: AdmissionLimits = attrs.field(factory=AdmissionLimits)
    claims: ClaimLimits = attrs.field(factory=ClaimLimits)
    reservations: ReservationLimits = attrs.field(factory=ReservationLimits)
    servers: ServerLimits = attrs.field(factory=ServerLimits)
    waiting: WaitingLimits = attrs.field(factory=WaitingLimits)


class House:
    """Door, claims, table, reservations and waiting room, joined as in the composition root."""

    def __init__(
        self, limits: HouseLimits | None = None, reservations: Reservations | None = None, secret: str = ""
    ) -> None:
        self.secret = secret
        self.number = 0
        self.limits = limits or HouseLimits()
        self.clock = Clock()
        self.changes = 0
        self.scope: Scope | None = None
        self.granted: list[Claimed] = []
        self.reservations = reservations or Reservations(self.limits.reservations)
        self.holdings = Holdings()
        self.room = WaitingRoom(self.clock, self.limits.waiting)
        self.table = TunnelTable(
            self.reservations, self.room, self.clock.seconds, self._changed, limits=self.limits.servers
        )
        self.addresses = Addresses("example.com", "http", 7070)
        self.door = Door(Tokens([TOKEN]), self._admitted, self.clock, self.limits.admission)
        self.clients: list[MemoryClient] = []

    def _changed(self) -> None:
        self.changes += 1

    def _admitted(self, door: Door, owner: Owner, beside: Session | None) -> tuple[Session, Welcome]:
        self.number += 1
        session = Session(
            role=Role.RELAY,
            clock=self.clock,
            limits=SessionLimits(),
            budget=Budget(1 << 26),
            id=f"s{self.number}",
            secret=self.secret and f"{self.secret} {self.number}",
        )
        session.on_closed = lambda error: door.gone(owner, session, error)
        if beside is None:
            self._take_claims(session, owner, door)
        else:
            session.on_back = beside.on_back
        return session, Welcome(session_id=session.id, resume_secret=session.secret)

    def _take_claims(self, session: Session, owner: Owner, door: Door) -> None:
        scope = door.authenticator.scope(owner.token) if door.authenticator is not None else self.scope
        claims = Claims(session, owner, self.table, self.addresses, self.limits.claims, scope)
        holder = door.authenticator.holder(owner.token) if door.authenticator is not None else ""
        claims.granted = self.granted.append
        claims.title = self.holdings.title(holder, scope)

        def closed(error: EgtunnelError) -> None:
            claims.closed()
            door.gone(owner, session, error)

        session.on_message = claims.message
        session.on_closed = closed
        session.on_away = claims.unheard
        session.on_back = claims.back

    def connect(self) -> MemoryClient:
        """A link that has not said anything."""
        client = MemoryClient(self)
        self.clients.append(client)
        self.door.link(client.near)
        return client

    def client(self, client_id: str = "one") -> MemoryClient:
        """A client that was let in."""
        client = self.connect()
        client.say(Hello(token=TOKEN, client_id=client_id))
        client.enter()
        return client

    def companion(self, client: MemoryClient, **wrong: str) -> MemoryClient:
        """One more link of a client, or an answer to something ``wrong``."""
        session = client.session
        assert session is not None
        another = self.connect()
        join = {"session": session.id, "secret": session.secret, **wrong}
        client_id = join.pop("client_id", "one")
        another.say(Hello(token=TOKEN, client_id=client_id, join=join))
        if isinstance(another.answer(), Welcome):
            another.enter()
        return another

    def tunnel(self, name: str, kind: str = "name") -> Tunnel:
        """The tunnel that stands there."""
        tunnel = self.table.at(Place(kind, name))
        assert tunnel is not None
        return tunnel

    def carry(self) -> None:
        """Let turns pass and messages cross until nothing more moves."""
        moving = True
        while moving:
            self.clock.advance(0)
            moving = sum(client.cross() for client in self.clients) > 0


class MemoryClient:
    """The far end of a link: first bare frames, once let in a session of its own."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.near = MemoryLink()
        self.far = MemoryLink()
        self.opened: list[tuple[ChannelTransport, dict[str, Any]]] = []
        self.messages: list[Message] = []
        self.ends: list[EgtunnelError] = []
        self.session: Session | None = None

    def say(self, message: Message) -> None:
        """Send a control message on the bare link."""
        self.send(message_frame(message))

    def send(self, data: bytes) -> None:
        """Send one message of the link, whatever it is."""
        if self.near.receiver is not None:
            self.near.receiver.link_message(data)

    def frames(self) -> list[tuple[int, bytes]]:
        """What the relay sent on the bare link: type and payload of each frame."""
        frames, fault = FrameDecoder().feed(b"".join(self.near.sent))
        assert fault is None
        return [(frame.type, frame.payload) for frame in frames]

    def answer(self) -> Message:
        """The control message that the relay sent first."""
        kind, payload = self.frames()[0]
        assert kind == FrameType.MESSAGE
        return decode(payload)

    def enter(self) -> None:
        """Go on as a session, after the welcome."""
        welcome = self.answer()
        assert isinstance(welcome, Welcome)
        self.near.sent.popleft()
        self.session = Session(
            role=Role.CLIENT,
            clock=self.house.clock,
            limits=SessionLimits(),
            budget=Budget(1 << 26),
            id=welcome.session_id,
            secret=welcome.resume_secret,
            on_open=lambda channel, metadata: self.opened.append((channel, metadata)),
            on_message=self.messages.append,
            on_closed=self.ends.append,
        )
        self.session.attach(self.far)
        self.house.carry()

    def cross(self) -> bool:
        """Carry what either side has sent; whether there was anything."""
        if self.session is None:
            return False
        moved = False
        for source, target in ((self.near, self.far), (self.far, self.near)):
            while source.sent:
                moved = True
                data = source.sent.popleft()
                if target.receiver is not None:
                    target.receiver.link_message(data)
        return moved

    def tell(self, *messages: Message) -> list[Message]:
        """Send control messages in the session; returns the answers."""
        assert self.session is not None
        before = len(self.messages)
        for message in messages:
            self.session.send(message)
        self.house.carry()
        return self.messages[before:]

    def claim(self, tunnel: int = 1, kind: str = "http", **wish: Any) -> Claimed:
        """Claim a tunnel; it has to be given."""
        (answer,) = self.tell(Claim(tunnel, kind, **wish))
        assert isinstance(answer, Claimed), answer
        return answer

    def refused(self, tunnel: int = 1, kind: str = "http", **wish: Any) -> RefusedMessage:
        """Claim a tunnel; it has to be refused."""
        (answer,) = self.tell(Claim(tunnel, kind, **wish))
        assert isinstance(answer, RefusedMessage), answer
        assert answer.tunnel == tunnel
        return answer

    def resume(self, **wrong: Any) -> Welcome:
        """Come back over a new link with what the session knows, or with something ``wrong``; returns the answer."""
        session = self.session
        assert session is not None
        session.leave(LinkLost())
        self.near, self.far = MemoryLink(), MemoryLink()
        self.house.door.link(self.near)
        wish = {"session": session.id, "secret": session.secret, "position": session.position, **wrong}
        client_id = str(wish.pop("client_id", "one"))
        self.say(Hello(token=TOKEN, client_id=client_id, resume=wish))
        welcome = self.answer()
        assert isinstance(welcome, Welcome), welcome
        self.near.sent.popleft()
        if welcome.resumed is not None:
            session.resume(welcome.resumed)
            session.attach(self.far)
            self.house.carry()
        return welcome

    def cut(self) -> None:
        """The link breaks."""
        for link in (self.near, self.far):
            if link.receiver is not None:
                link.receiver.link_lost("cut")

    def accept(self) -> Recorder:
        """Take the channel that was opened last."""
        protocol = Recorder()
        channel, _ = self.opened[-1]
        channel.connect_protocol(protocol)
        channel.accept()
        self.house.carry()
        return protocol
