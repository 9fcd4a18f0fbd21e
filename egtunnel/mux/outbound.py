"""The sending half of a mux: what waits to leave, and in which order it does."""

from __future__ import annotations

from collections.abc import Callable

from egtunnel.errors import EgtunnelError, RemoteProtocolError
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import Channel, ChannelState
from egtunnel.mux.flight import Flight
from egtunnel.mux.frames import FIN, HEADER_SIZE, MAX_PAYLOAD, MAX_REASON, U16, U32, U64, FrameType, encode, header
from egtunnel.mux.replay import Replay
from egtunnel.mux.turns import Turns

__all__ = ["Outbound", "clip"]


def clip(text: str) -> bytes:
    """A reason as UTF-8 of at most ``MAX_REASON`` bytes, cut between characters."""
    return text.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore").encode()


class Outbound:
    """Frames that are not DATA leave first and in order, then DATA by turns, as far as the flight has room.

    ``most_control`` bounds the bytes of frames other than DATA that wait; ``quantum`` is what one channel sends in its
    turn while others wait. ``served`` lists the channels that sent DATA in the last ``take``. ``on_fin`` is
    told when a channel's FIN has left. ``replay`` keeps what has left. ``flooded``: the peer makes us answer and reads
    nothing.
    """

    def __init__(
        self, budget: Budget, flight: Flight, most_control: int, quantum: int, on_fin: Callable[[Channel], None]
    ) -> None:
        self.turns = Turns()
        self.flight = flight
        self.replay = Replay(budget)
        self.flooded = False
        self.served: list[Channel] = []
        self._budget = budget
        self._most_control = most_control
        self._quantum = quantum
        self._on_fin = on_fin
        self._control: list[bytes | memoryview] = []
        self._control_size = 0
        self._uncounted: list[bytes | memoryview] = []
        self._ack: int | None = None
        self._credits: dict[Channel, int] = {}

    def __bool__(self) -> bool:
        """Whether anything can leave now."""
        return bool(
            self._uncounted
            or self._ack is not None
            or self.replay
            or ((self._control or self._credits) and not self.flight.full)
            or (self.turns and self.flight.room(self.turns.urgent) > 0)
        )

    def control(self, frame: bytes) -> None:
        """Queue a counted frame other than DATA; beyond the bound it is dropped and ``flooded`` set, which is fatal."""
        self._control_size += len(frame)
        if self._control_size > self._most_control:
            self.flooded = True
        else:
            self._control.append(frame)

    def uncounted(self, frame: bytes) -> None:
        """Queue a frame that ACKs do not count: PING, PONG, GOAWAY; the bound is the same."""
        if len(frame) * len(self._uncounted) > self._most_control:
            self.flooded = True
        else:
            self._uncounted.append(frame)

    def check(self) -> None:
        """Raises RemoteProtocolError once we are ``flooded``; asked after each answer, so that chunks play no part."""
        if self.flooded:
            raise RemoteProtocolError("the peer does not read our answers")

    def acknowledge(self, position: int) -> None:
        """Tell the peer how far we have read; of several before the next ``take`` only the last is sent."""
        self._ack = position

    def reset(self, number: int, error: EgtunnelError) -> None:
        """Queue a RESET of channel ``number``."""
        self.control(encode(FrameType.RESET, number, U16.pack(error.code) + clip(str(error))))

    def credit(self, channel: Channel, increment: int) -> None:
        """Give the peer ``increment`` bytes more; several gifts before the next ``take`` become one frame."""
        self._credits[channel] = self._credits.get(channel, 0) + increment

    def forget(self, channel: Channel) -> None:
        """``channel`` is over; nothing more of it is sent."""
        channel.drop_queue()
        self._credits.pop(channel, None)

    def take(self, limit: int) -> list[bytes | memoryview]:
        """Whole frames as pieces to be joined, DATA among them up to about ``limit`` bytes."""
        first = self._uncounted
        if first:
            self._uncounted = []
        if self._ack is not None:
            first.append(encode(FrameType.ACK, 0, U64.pack(self._ack)))
            self._ack = None
        self.served.clear()
        pieces = self.replay.take(limit) if self.replay else self._counted(limit)
        return first + pieces if first else pieces

    def _counted(self, limit: int) -> list[bytes | memoryview]:
        """New frames of the counted types; they are kept."""
        flight = self.flight
        start = flight.sent
        pieces: list[bytes | memoryview] = []
        if not flight.full:
            if self._credits:
                self._queue_credits()
            if self._control:
                pieces, self._control = self._control, pieces
                flight.sent += sum(map(len, pieces))
                self._control_size = 0
        turns = self.turns
        while limit > 0 and turns and flight.room(turns.urgent) > 0:
            channel = turns.next()
            if channel.state is not ChannelState.CLOSED:
                size = min(channel.queued, channel.send.credit, self._quantum if turns else MAX_PAYLOAD)
                limit -= size + HEADER_SIZE
                self._send(channel, size, pieces)
        if pieces:
            self.replay.keep(pieces, flight.sent - start, flight.sent)
        return pieces

    def detached(self) -> None:
        """The link is gone, and with it all frames that are not counted."""
        self._uncounted = []
        self._ack = None

    def _send(self, channel: Channel, size: int, pieces: list[bytes | memoryview]) -> None:
        channel.send.spend(size)
        self.flight.sent += size + HEADER_SIZE
        last = channel.fin_queued and size == channel.queued
        pieces.append(header(FrameType.DATA, FIN if last else 0, size, channel.id))
        if size:
            pieces += channel.take(size)
            self._budget.release(size)
        self.served.append(channel)
        if last:
            channel.fin_sent = True
            self._on_fin(channel)
        elif channel.sendable:
            self.turns.again(channel)

    def _queue_credits(self) -> None:
        for channel, increment in self._credits.items():
            if channel.state is not ChannelState.CLOSED and not channel.fin_received:
                self._control.append(encode(FrameType.CREDIT, channel.id, U32.pack(increment)))
        self._credits.clear()
