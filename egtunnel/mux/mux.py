"""The mux: many channels over one stream of frames. Bytes in, events out; calls in, frames to send out.

It knows no clock, no socket and no JSON. Whoever drives it passes received bytes to ``receive``, acts on the events,
and asks ``frames_to_send`` whenever the link takes data.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from egtunnel.errors import (
    ChannelReset,
    FrameError,
    IllegalTransition,
    LocalProtocolError,
    OverBudget,
    ProtocolError,
    TooManyChannels,
)
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import MAX_CHANNEL_ID, Channel, ChannelState, Role, next_state
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
from egtunnel.mux.flight import Flight
from egtunnel.mux.frames import (
    EARLY_WINDOW,
    FIN,
    LAST_COUNTED,
    U16,
    U32,
    U32_U16,
    U64,
    Frame,
    FrameDecoder,
    FrameType,
    encode,
    fitting,
)
from egtunnel.mux.limits import MuxLimits
from egtunnel.mux.outbound import Outbound, clip
from egtunnel.mux.receipt import Receipt
from egtunnel.mux.windows import MAX_WINDOW

__all__ = ["Mux", "MuxLimits", "Role"]


class Mux:
    """All channels of one session, from one side.

    ``now`` and ``round_trip``, in seconds, are what the driver knows of time; it sets them as it learns them.
    ``lingering`` are channels that are over on the wire while bytes of theirs wait to be consumed.
    """

    def __init__(self, role: Role, limits: MuxLimits, budget: Budget) -> None:
        self.role = role
        self.limits = limits
        self.budget = budget
        self.channels: dict[int, Channel] = {}
        self.lingering: dict[int, Channel] = {}
        self.now = 0.0
        self.round_trip = 0.0
        self.flight = Flight(limits.flight, limits.replay, budget)
        self.outbound = Outbound(budget, self.flight, limits.control, limits.quantum, self._forget_if_over)
        self.going_away = self.peer_going_away = False
        self._decoder = FrameDecoder()
        self._receipt = Receipt(self._decoder)
        self.next_id = 1 if role is Role.CLIENT else 2
        self._last_peer_id = 0
        self._unaccepted = 0
        self._faulted = False
        self._react: dict[int, Callable[[Frame], Event | None]] = {
            FrameType.MESSAGE: lambda frame: MessageReceived(frame.payload),
            FrameType.OPEN: self._peer_opened,
            FrameType.ACCEPT: self._peer_accepted,
            FrameType.DATA: self._peer_sent,
            FrameType.CREDIT: self._peer_granted,
            FrameType.RESET: self._peer_reset,
            FrameType.PING: self._peer_pinged,
            FrameType.PONG: lambda frame: PongReceived(frame.payload),
            FrameType.ACK: self._peer_acked,
            FrameType.GOAWAY: self._peer_left,
        }

    # -- bytes in, events out

    def receive(self, data: bytes) -> list[Event]:
        """What the bytes of the peer mean. Never raises; a broken rule is the last event, ``Faulted``."""
        if self._faulted:
            return []
        fault: ProtocolError | None
        frames, fault = self._decoder.feed(data)
        events: list[Event] = []
        react = self._react
        try:
            for frame in frames:
                if frame[0] > LAST_COUNTED:
                    self._receipt.pass_over(frame)
                event = react[frame[0]](frame)
                if event is not None:
                    events.append(event)
            self.outbound.check()
        except ProtocolError as error:
            fault = error
        if fault is not None:
            self._faulted = True
            events.append(Faulted(fault))
            return events
        if self._receipt.due:
            self._acknowledge()
        if self.budget.exceeded:
            self._shed(events)
        return events

    @property
    def mid_frame(self) -> bool:
        """Whether the bytes so far end within a frame; on a WebSocket a message may not."""
        return self._decoder.pending > 0

    @property
    def position(self) -> int:
        """How far the peer's counted frames have been read, bytes."""
        return self._receipt.position

    def _acknowledge(self) -> None:
        position = self._receipt.take()
        if position is not None:
            self.outbound.acknowledge(position)

    def _shed(self, events: list[Event]) -> None:
        """Reset the channels that hold the most until the budget is kept; a last resort.

        Whoever reads the events lets go of what the victims hold; it counts no longer, or the innocent would follow.
        """
        while self.budget.exceeded:
            everyone = chain(self.channels.values(), self.lingering.values())
            victim = max(everyone, key=lambda channel: channel.held, default=None)
            if victim is None or not victim.held:
                return
            error = OverBudget()
            self.reset(victim, error)
            self._let_go(victim, victim.receive.held)
            events.append(ChannelWasReset(victim, error.code, error.text))

    def _known(self, frame: Frame) -> Channel | None:
        """The channel a frame is for; None if it is over already, as frames in flight may cross a RESET."""
        channel = self.channels.get(frame.channel)
        if channel is None and frame.channel > self._last_id(frame.channel):
            raise IllegalTransition(f"{FrameType(frame.type).name} on channel {frame.channel}, which was never opened")
        return channel

    @property
    def _full(self) -> bool:
        return len(self.channels) + len(self.lingering) >= self.limits.channels

    def _last_id(self, number: int) -> int:
        return self.next_id - 2 if number & 1 == self.role & 1 else self._last_peer_id

    def _peer_opened(self, frame: Frame) -> Event | None:
        number = frame.channel
        if number & 1 == self.role & 1 or number <= self._last_peer_id:
            raise IllegalTransition(f"OPEN of channel {number}")
        self._last_peer_id = number
        (window,) = U32.unpack_from(frame.payload)
        if window > MAX_WINDOW:
            raise FrameError(f"OPEN with a window of {window} bytes")
        if self._full or self.going_away:
            self.outbound.reset(number, TooManyChannels())
            self.outbound.check()
            return None
        channel = Channel(number, ChannelState.OFFERED, window, EARLY_WINDOW)
        self.channels[number] = channel
        return ChannelOpened(channel, frame.payload[4:])

    def _peer_accepted(self, frame: Frame) -> Event | None:
        channel = self._known(frame)
        if channel is None:
            return None
        channel.state = next_state(channel.state, FrameType.ACCEPT)
        self._unaccepted -= 1
        (window,) = U32.unpack(frame.payload)
        if not EARLY_WINDOW <= window <= MAX_WINDOW:
            raise FrameError(f"ACCEPT with a window of {window} bytes")
        channel.send.credit += window - EARLY_WINDOW
        if channel.sendable:
            self.outbound.turns.join(channel)
        return ChannelAccepted(channel)

    def _peer_sent(self, frame: Frame) -> Event | None:
        channel = self.channels.get(frame.channel)
        if channel is None:
            self._known(frame)
            return None
        if channel.state is not ChannelState.OPEN:
            channel.state = next_state(channel.state, FrameType.DATA)
        if channel.fin_received:
            raise IllegalTransition(f"DATA on channel {channel.id} after its FIN")
        data = frame.payload
        size = len(data)
        channel.receive.receive(size)
        self.budget.hold(size)
        fin = frame.flags == FIN
        if fin:
            channel.fin_received = True
            self._forget_if_over(channel)
        return DataReceived(channel, data, fin)

    def _peer_granted(self, frame: Frame) -> Event | None:
        channel = self._known(frame)
        if channel is not None:
            channel.state = next_state(channel.state, FrameType.CREDIT)
            channel.send.grant(U32.unpack(frame.payload)[0])
            if channel.sendable:
                self.outbound.turns.join(channel)
        return None

    def _peer_reset(self, frame: Frame) -> Event | None:
        channel = self._known(frame)
        if channel is None:
            return None
        (code,) = U16.unpack_from(frame.payload)
        self._discard(channel)
        return ChannelWasReset(channel, code, frame.payload[2:].decode("utf-8", "replace"))

    def _peer_pinged(self, frame: Frame) -> Event | None:
        self._receipt.asked = True
        self.outbound.uncounted(encode(FrameType.PONG, 0, frame.payload))
        self.outbound.check()
        return None

    def _peer_acked(self, frame: Frame) -> Event | None:
        (position,) = U64.unpack(frame.payload)
        self.flight.acknowledge(position, self.now, self.round_trip)
        self.outbound.replay.acknowledge(position)
        return None

    def _peer_left(self, frame: Frame) -> Event | None:
        last, code = U32_U16.unpack_from(frame.payload)
        self.peer_going_away = True
        return GoneAway(last, code, frame.payload[6:].decode("utf-8", "replace"))

    # -- what the driver asks for

    def open(self, metadata: bytes) -> Channel:
        """Open a channel; data may be written at once. Raises TooManyChannels.

        Raises LocalProtocolError if the metadata does not fit a frame.
        """
        if self._full or self._unaccepted >= self.limits.unaccepted:
            raise TooManyChannels(f"{len(self.channels)} channels are open, {self._unaccepted} wait to be accepted")
        if self.next_id > MAX_CHANNEL_ID or self.peer_going_away:
            raise TooManyChannels("this session takes no new channels")
        window = self.budget.window()
        frame = fitting(FrameType.OPEN, self.next_id, U32.pack(window) + metadata)
        channel = Channel(self.next_id, ChannelState.OPENING, EARLY_WINDOW, window)
        self.next_id += 2
        self._unaccepted += 1
        self.channels[channel.id] = channel
        self.outbound.control(frame)
        return channel

    def accept(self, channel: Channel) -> None:
        """Say yes to a channel the peer opened; saying so twice changes nothing."""
        if channel.state is not ChannelState.OFFERED:
            return
        channel.state = ChannelState.OPEN
        window = self.budget.window()
        channel.receive.limit = window
        channel.receive.available += window - EARLY_WINDOW
        self.outbound.control(encode(FrameType.ACCEPT, channel.id, U32.pack(window)))
        credit = channel.receive.consume(0)
        if credit:
            self.outbound.credit(channel, credit)

    def write(self, channel: Channel, data: bytes) -> None:
        """Queue bytes on a channel. The caller minds ``channel.queued``; nothing here stops it from growing."""
        if channel.fin_queued:
            raise LocalProtocolError(f"write on channel {channel.id} after its end")
        if channel.state is ChannelState.CLOSED or not data:
            return
        if channel.state is ChannelState.OFFERED:
            self.accept(channel)
        channel.queue.append(data)
        size = len(data)
        channel.queued += size
        self.budget.hold(size)
        if not channel.in_turn and channel.send.credit > 0:
            self.outbound.turns.join(channel)

    def finish(self, channel: Channel) -> None:
        """End our direction once all that is queued has been sent."""
        if channel.fin_queued or channel.state is ChannelState.CLOSED:
            return
        self.accept(channel)
        channel.fin_queued = True
        if channel.sendable:
            self.outbound.turns.join(channel)

    def reset(self, channel: Channel, error: ChannelReset) -> None:
        """End both directions at once and tell the peer why; what is queued is dropped."""
        if channel.state is not ChannelState.CLOSED:
            self.outbound.reset(channel.id, error)
            self._discard(channel)

    def consumed(self, channel: Channel, size: int) -> None:
        """The application took ``size`` bytes; credit goes back when half the window can be given."""
        receive = channel.receive
        if channel.fin_received or channel.state is not ChannelState.OPEN:
            self._let_go(channel, size)
            return
        credit = receive.consume(size)
        self.budget.release(size)
        if not credit:
            return
        if self.budget.tight:
            receive.limit = self.budget.window()
        else:
            receive.grow(credit, self.now, self.round_trip, self.budget.largest_window)
        self.outbound.credit(channel, credit)

    def message(self, payload: bytes) -> None:
        """Send a control message. Raises LocalProtocolError if it does not fit a frame."""
        self.outbound.control(fitting(FrameType.MESSAGE, 0, payload))

    def ping(self, payload: bytes) -> None:
        """Ask for a PONG with these 8 bytes; and, as the link is idle, tell how far we have read."""
        self._acknowledge()
        self.outbound.uncounted(fitting(FrameType.PING, 0, payload))

    def go_away(self, code: int, text: str) -> None:
        """Take no new channels of the peer's and tell it why; our own may still be opened."""
        self.going_away = True
        self.outbound.uncounted(encode(FrameType.GOAWAY, 0, U32_U16.pack(self._last_peer_id, code) + clip(text)))

    # -- the next link

    def detach(self) -> None:
        """The link is gone: what was on its way, and half a frame that came, are gone with it."""
        self._decoder.drop()
        self.outbound.detached()

    def resume(self, position: int) -> None:
        """Go on over a new link: the peer has read our counted frames up to ``position`` and gets the others again.

        The peer knows our ``position``, too. Raises FlowControlError if it cannot have read so far, or reads from
        there what it has acknowledged before.
        """
        self.detach()
        self.flight.acknowledge(position, self.now, self.round_trip)
        self.outbound.replay.rewind(position)
        self._receipt.take()

    # -- frames out

    @property
    def has_frames(self) -> bool:
        """Whether ``frames_to_send`` would give anything."""
        return bool(self.outbound)

    def frames_to_send(self, limit: int) -> list[bytes | memoryview]:
        """Whole frames as pieces to be joined: all control frames, then DATA by turns up to about ``limit`` bytes."""
        return self.outbound.take(limit)

    def _discard(self, channel: Channel) -> None:
        """Take a channel out of the table; bytes the application has not consumed stay held until it does."""
        if channel.state is ChannelState.OPENING:
            self._unaccepted -= 1
        channel.state = ChannelState.CLOSED
        self.budget.release(channel.queued)
        self.outbound.forget(channel)
        self._over(channel)

    def _forget_if_over(self, channel: Channel) -> None:
        if channel.fin_sent and channel.fin_received:
            channel.state = ChannelState.CLOSED
            self._over(channel)

    def _over(self, channel: Channel) -> None:
        self.channels.pop(channel.id, None)
        if channel.receive.held:
            self.lingering[channel.id] = channel

    def _let_go(self, channel: Channel, size: int) -> None:
        """Bytes for which no credit is due are held no longer: the channel is over, ends, or is not accepted yet."""
        receive = channel.receive
        size = min(size, receive.held)
        receive.held -= size
        self.budget.release(size)
        if not receive.held:
            self.lingering.pop(channel.id, None)
