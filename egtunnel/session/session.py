"""A session: what outlives links. It owns a mux, at most one link, the channels' transports and the heartbeat."""

from __future__ import annotations

import json
from collections.abc import Callable
from struct import Struct
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from egtunnel.errors import (
    ChannelReset,
    EgtunnelError,
    FrameError,
    HeartbeatLost,
    LinkLost,
    ProtocolError,
    RemoteProtocolError,
    error_for_code,
)
from egtunnel.interfaces import ILink, ILinkReceiver
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import Channel
from egtunnel.mux.events import (
    ChannelAccepted,
    ChannelOpened,
    ChannelWasReset,
    DataReceived,
    Event,
    Faulted,
    GoneAway,
    MessageReceived,
    PongReceived,
)
from egtunnel.mux.mux import Mux, MuxLimits, Role
from egtunnel.session.keepalive import Keepalive
from egtunnel.session.messages import Message, decode, encode
from egtunnel.session.transport import ChannelTransport

__all__ = ["Role", "Session", "SessionLimits"]

SEQUENCE = Struct("!Q")
DRIFT = 1.25
"""The kept round trip is the shortest one seen; each later measurement may raise it by this factor at most."""


@attrs.frozen
class SessionLimits:
    """Limits and times of a session. Times in seconds, sizes in bytes.

    ``hurry``: patience with a peer that owes us an acknowledgement; only where the session can go on over another link.
    ``batch``: bytes of DATA put into one message of the link. ``resume``: how long a session without a link waits for
    its next one; 0: not at all.
    """

    mux: MuxLimits = attrs.field(factory=MuxLimits)
    heartbeat: float = 15.0
    patience: float = 10.0
    hurry: float = 3.0
    batch: int = 131_072
    resume: float = 60.0


def _ignore(*_: Any) -> None:
    return None


@implementer(ILinkReceiver)
class Session:
    """One side of a session.

    ``on_open(channel, metadata)`` is told of each channel the peer opens, ``on_message(message)`` of each control
    message, ``on_closed(error)``, once, that the session is over; ``on_away(error)`` that its link is gone and may come
    back, ``on_back()`` that it has; ``on_leaving(error)`` that the peer means to end the session, whose channels go on
    until it does. All may be set later.

    ``companions`` carry channels for this session, over links of their own. ``peer``: as its latest link has it.

    :param secret: what the client has to know to go on over another link; "": the session ends with its link.
    """

    log = Logger()

    def __init__(
        self,
        *,
        role: Role,
        clock: IReactorTime,
        limits: SessionLimits,
        budget: Budget,
        id: str = "",
        secret: str = "",
        on_open: Callable[[ChannelTransport, dict[str, Any]], None] = _ignore,
        on_message: Callable[[Message], None] = _ignore,
        on_closed: Callable[[EgtunnelError], None] = _ignore,
    ) -> None:
        self.id = id
        self.secret = secret if limits.resume else ""
        self.limits = limits
        self.budget = budget
        self.mux = Mux(role, limits.mux, budget)
        self.on_open = on_open
        self.on_message = on_message
        self.on_closed = on_closed
        self.on_away: Callable[[EgtunnelError], None] = _ignore
        self.on_back: Callable[[], None] = _ignore
        self.on_leaving: Callable[[EgtunnelError], None] = _ignore
        self.round_trip: float | None = None
        self.closed: EgtunnelError | None = None
        self.companions: list[Session] = []
        self.peer = ""
        self._clock = clock
        self._link: ILink | None = None
        self._link_full = False
        self._awake = False
        self._farewell: EgtunnelError | None = None
        self._expiry: IDelayedCall | None = None
        self._pings: tuple[int, float] = (0, 0.0)
        self._keepalive = Keepalive(
            clock,
            self._ping,
            self._heartbeat_lost,
            limits.heartbeat,
            limits.patience,
            lambda: self.mux.flight.owed,
            limits.hurry if self.secret else 0.0,
        )

    # -- for the two roots

    @property
    def online(self) -> bool:
        """Whether there is a link."""
        return self._link is not None

    @property
    def channels(self) -> int:
        """How many channels are open."""
        return len(self.mux.channels)

    def least_busy(self) -> Session:
        """Where the next channel is to be opened: of this session and its companions, those with a link go first."""
        if not self.companions:
            return self
        return min((self, *self.companions), key=lambda session: (not session.online, session.channels))

    def attach(self, link: ILink) -> None:
        """Carry this session over ``link`` from now on; for one that was away, after ``resume``."""
        away, self._expiry = self._expiry, None
        self._link = link
        self.round_trip = None  # the way may be another one
        link.receiver, self.peer = self, link.peer
        link.admitted()
        self._keepalive.start()
        self._ping()
        self.wake()
        if away is not None:
            away.cancel()
            self.on_back()

    @property
    def position(self) -> int:
        """How far the peer's counted frames have been read, bytes."""
        return self.mux.position

    @property
    def carried(self) -> int:
        """How many bytes of counted frames have arrived, here or there, since the session began."""
        return self.mux.position + self.mux.flight.acked

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes of counted frames to the peer and from it since the session began, those of companions included."""
        sessions = (self, *self.companions)
        return sum(each.mux.flight.sent for each in sessions), sum(each.mux.position for each in sessions)

    @property
    def heard(self) -> float:
        """When anything last came, by our clock."""
        return self._keepalive.last

    def leave(self, error: EgtunnelError) -> None:
        """Give the link up, for another one or because it is as good as lost; the session ends if it cannot wait."""
        link, self._link = self._link, None
        if link is not None:
            link.abort()
        self._away(error)

    def doubt(self) -> None:
        """Something happened that may have cut the link, a change of networks say: find out soon."""
        self._keepalive.doubt()

    def resume(self, position: int) -> None:
        """The peer is back and has read our counted frames up to ``position``; ``attach`` its new link next.

        Raises FlowControlError if that cannot be; the session can wait for a better link then.
        """
        if self._link is not None:
            self.leave(LinkLost("another link took over"))
        self.mux.resume(position)

    def send(self, message: Message) -> None:
        """Send a control message."""
        if self.closed is None:
            self.mux.message(encode(message))
            self.wake()

    def open(self, metadata: dict[str, Any]) -> ChannelTransport:
        """Open a channel. Raises TooManyChannels, or LinkLost when the session is over."""
        if self.closed is not None:
            raise LinkLost
        channel = self.mux.open(json.dumps(metadata, separators=(",", ":")).encode())
        transport = ChannelTransport(self, channel)
        channel.application = transport
        self.wake()
        return transport

    def go_away(self, error: EgtunnelError) -> None:
        """Tell the peer that the session is to end for this reason; until it does, its channels go on."""
        if self.closed is None:
            self.mux.go_away(error.code, error.text)
            self.wake()

    def close(self, error: EgtunnelError) -> None:
        """End the session for this reason, which the peer is told."""
        link = self._link
        if link is not None and self.closed is None:
            self.mux.go_away(error.code, error.text)
            link.send(self.mux.frames_to_send(0))
            link.close(error.code, error.text)
        self._end(error)

    # -- for channels

    def wake(self) -> None:
        """There is something to send: send it at the end of this reactor turn."""
        if not self._awake:
            self._awake = True
            self._clock.callLater(0, self._flush)

    def later(self, call: Callable[[], object]) -> None:
        """Call in a later reactor turn."""
        self._clock.callLater(0, call)

    def consumed(self, channel: Channel, size: int) -> None:
        """An application took ``size`` bytes of a channel."""
        mux = self.mux
        mux.consumed(channel, size)
        if not self._awake and mux.outbound:
            self.wake()

    def _flush(self) -> None:
        self._awake = False
        outbound = self.mux.outbound
        if outbound.flooded:
            self.close(RemoteProtocolError("the peer does not read our answers"))
            return
        batch = self.limits.batch
        while outbound and self._link is not None and not self._link_full:
            self._link.send(outbound.take(batch))
            for channel in outbound.served:
                channel.application.sent()

    # -- ILinkReceiver

    def link_message(self, data: bytes) -> None:
        """Frames came."""
        self.mux.now = self._keepalive.heard()
        for event in self.mux.receive(data):
            if type(event) is DataReceived:
                event.channel.application.data_received(event.data, event.fin)
            else:
                self._REACT[type(event)](self, event)
            if self.closed is not None:
                return
        if self.mux.mid_frame and self._link is not None and not self._link.stream:
            self.close(FrameError("a message of the link that ends within a frame"))
        elif self.mux.outbound:
            self.wake()

    def link_paused(self) -> None:
        """The link's buffer is full."""
        self._link_full = True

    def link_resumed(self) -> None:
        """The link takes data again."""
        self._link_full = False
        self._flush()

    def link_lost(self, reason: str) -> None:
        """The link is gone; unless it was ended on purpose, the session waits for the next one."""
        self._link = None
        if self._farewell is not None:
            self._end(self._farewell)
        else:
            self._away(LinkLost(reason))

    # -- events of the mux

    def _message(self, event: MessageReceived) -> None:
        try:
            message = decode(event.payload)
        except ProtocolError as error:
            self.close(error)
        else:
            self.on_message(message)

    def _opened(self, event: ChannelOpened) -> None:
        try:
            metadata = json.loads(event.metadata)
        except (ValueError, RecursionError):
            metadata = None
        if not isinstance(metadata, dict):
            self.close(FrameError("an OPEN whose metadata is not a JSON object"))
            return
        transport = ChannelTransport(self, event.channel)
        event.channel.application = transport
        self.on_open(transport, metadata)

    def _accepted(self, event: ChannelAccepted) -> None:
        event.channel.application.was_accepted()

    def _was_reset(self, event: ChannelWasReset) -> None:
        error = error_for_code(event.code, event.text)
        event.channel.application.was_reset(error if isinstance(error, ChannelReset) else ChannelReset(error.text))

    def _ponged(self, event: PongReceived) -> None:
        number, since = self._pings
        if SEQUENCE.unpack(event.payload)[0] == number:
            took = self._clock.seconds() - since
            self.round_trip = took if self.round_trip is None else min(took, self.round_trip * DRIFT)
            self.mux.round_trip = self.round_trip

    def _gone_away(self, event: GoneAway) -> None:
        self._farewell = error_for_code(event.code, event.text)
        self.on_leaving(self._farewell)

    def _faulted(self, event: Faulted) -> None:
        self.close(event.error)

    _REACT: dict[type[Event], Callable[[Session, Any], None]] = {  # noqa: RUF012
        MessageReceived: _message,
        ChannelOpened: _opened,
        ChannelAccepted: _accepted,
        ChannelWasReset: _was_reset,
        PongReceived: _ponged,
        GoneAway: _gone_away,
        Faulted: _faulted,
    }

    # -- heartbeat and end

    def _ping(self) -> None:
        number = self._pings[0] + 1
        self._pings = (number, self._clock.seconds())
        self.mux.ping(SEQUENCE.pack(number))
        self.wake()

    def _heartbeat_lost(self) -> None:
        self.leave(HeartbeatLost())

    def _away(self, error: EgtunnelError) -> None:
        """There is no link any more: stop, keep everything, and wait."""
        if self.closed is not None or self._expiry is not None:
            return
        if not self.secret:
            self._end(error)
            return
        self._keepalive.stop()
        self._link_full = False
        self.mux.detach()
        self._expiry = self._clock.callLater(self.limits.resume, self._expired, error)
        self.on_away(error)

    def _expired(self, error: EgtunnelError) -> None:
        self._expiry = None
        self._end(error)

    def _end(self, error: EgtunnelError) -> None:
        if self.closed is not None:
            return
        self.closed = error
        self._link = None
        self._keepalive.stop()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        lost = LinkLost(error.text)
        for channel in list(self.mux.channels.values()):
            self.mux.reset(channel, lost)
            if channel.application is not None:
                channel.application.was_reset(lost)
        self.mux.outbound.replay.clear()
        self.on_closed(error)
