"""The sending half of a mux: what waits to leave, and in which order it does."""

from __future__ import annotations

from collections.abc import Callable

from egtunnel.errors import EgtunnelError
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import Channel, ChannelState
from egtunnel.mux.frames import FIN, MAX_PAYLOAD, MAX_REASON, U16, U32, FrameType, encode, header
from egtunnel.mux.turns import Turns

__all__ = ["Outbound", "clip"]


def clip(text: str) -> bytes:
    """A reason as UTF-8 of at most ``MAX_REASON`` bytes, cut between characters."""
    return text.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore").encode()


class Outbound:
    """Frames that are not DATA leave first and in order, then credits, then DATA by turns.

    ``most_control`` bounds the bytes of frames other than DATA that wait; ``quantum`` is what one channel sends in its
    turn while others wait. ``served`` lists the channels that sent DATA in the last ``take``. ``on_fin`` is
    told when a channel's FIN has left. ``flooded``: the peer makes us answer and reads nothing.
    """

    def __init__(self, budget: Budget, most_control: int, quantum: int, on_fin: Callable[[Channel], None]) -> None:
        self.turns = Turns()
        self.flooded = False
        self.served: list[Channel] = []
        self._budget = budget
        self._most_control = most_control
        self._quantum = quantum
        self._on_fin = on_fin
        self._control: list[bytes | memoryview] = []
        self._control_size = 0
        self._credits: dict[Channel, int] = {}

    def __bool__(self) -> bool:
        return bool(self._control or self._credits or self.turns)

    def control(self, frame: bytes) -> None:
        """Queue a frame other than DATA; beyond the bound it is dropped and ``flooded`` set, which ends the session."""
        self._control_size += len(frame)
        if self._control_size > self._most_control:
            self.flooded = True
        else:
            self._control.append(frame)

    def last_word(self, frame: bytes) -> None:
        """Queue a frame even beyond the bound: the one that says why we go."""
        self._control.append(frame)

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
        if self._credits:
            self._queue_credits()
        pieces, self._control = self._control, []
        self._control_size = 0
        self.served.clear()
        turns = self.turns
        while limit > 0 and turns:
            channel = turns.next()
            if channel.state is not ChannelState.CLOSED:
                size = min(channel.queued, channel.send.credit, self._quantum if turns else MAX_PAYLOAD)
                limit -= size + 8
                self._send(channel, size, pieces)
        return pieces

    def _send(self, channel: Channel, size: int, pieces: list[bytes | memoryview]) -> None:
        channel.send.spend(size)
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
