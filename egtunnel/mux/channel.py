"""One channel of a mux: its state, its two windows, and what waits to be sent on it."""

from __future__ import annotations

from collections import deque
from enum import Enum, IntEnum
from typing import Any

from egtunnel.errors import IllegalTransition
from egtunnel.mux.frames import FrameType
from egtunnel.mux.windows import ReceiveWindow, SendWindow

__all__ = ["MAX_CHANNEL_ID", "Channel", "ChannelState", "Role", "next_state"]

MAX_CHANNEL_ID = 0xFFFFFFFF


class Role(IntEnum):
    """Which side of the session a mux is on; the value is the parity of the channel ids it opens."""

    RELAY = 0
    CLIENT = 1


class ChannelState(Enum):
    """How far a channel has come; the two directions of an OPEN one end by the flags of ``Channel``."""

    OPENING = "opened by us, not accepted yet"
    OFFERED = "opened by the peer, not accepted yet"
    OPEN = "accepted"
    CLOSED = "over"


# What a frame of the peer does to a channel; a pair that is not here breaks the protocol.
PEER: dict[tuple[ChannelState, int], ChannelState] = {
    (ChannelState.OPENING, FrameType.ACCEPT): ChannelState.OPEN,
    (ChannelState.OPENING, FrameType.RESET): ChannelState.CLOSED,
    (ChannelState.OFFERED, FrameType.DATA): ChannelState.OFFERED,
    (ChannelState.OFFERED, FrameType.CREDIT): ChannelState.OFFERED,
    (ChannelState.OFFERED, FrameType.RESET): ChannelState.CLOSED,
    (ChannelState.OPEN, FrameType.DATA): ChannelState.OPEN,
    (ChannelState.OPEN, FrameType.CREDIT): ChannelState.OPEN,
    (ChannelState.OPEN, FrameType.RESET): ChannelState.CLOSED,
}


def next_state(state: ChannelState, kind: int) -> ChannelState:
    """The state after the peer's frame of type ``kind``; raises IllegalTransition if it may not come now."""
    try:
        return PEER[state, kind]
    except KeyError:
        raise IllegalTransition(f"{FrameType(kind).name} on a channel that is {state.value}") from None


class Channel:
    """One byte stream inside a session; a record the mux works on, with no rules of its own.

    ``application`` belongs to whoever drives the mux; the mux never looks at it.
    """

    __slots__ = (
        "application",
        "fin_queued",
        "fin_received",
        "fin_sent",
        "id",
        "in_turn",
        "offset",
        "queue",
        "queued",
        "receive",
        "send",
        "state",
    )

    def __init__(self, number: int, state: ChannelState, send_credit: int, receive_window: int) -> None:
        self.id = number
        self.state = state
        self.send = SendWindow(send_credit)
        self.receive = ReceiveWindow(receive_window)
        self.queue: deque[bytes] = deque()
        self.queued = 0
        self.offset = 0
        self.fin_queued = False
        self.fin_sent = False
        self.fin_received = False
        self.in_turn = False
        self.application: Any = None

    @property
    def held(self) -> int:
        """Bytes held for this channel in both directions."""
        return self.queued + self.receive.held

    @property
    def sendable(self) -> bool:
        """Whether a DATA frame can be made now."""
        if self.queued:
            return self.send.credit > 0
        return self.fin_queued and not self.fin_sent

    def take(self, size: int) -> list[bytes | memoryview]:
        """Remove exactly ``size`` queued bytes; nothing is copied but the edges of the pieces."""
        pieces: list[bytes | memoryview] = []
        self.queued -= size
        queue = self.queue
        while size:
            head = queue[0]
            rest = len(head) - self.offset
            if rest > size:
                pieces.append(memoryview(head)[self.offset : self.offset + size])
                self.offset += size
                break
            pieces.append(memoryview(head)[self.offset :] if self.offset else head)
            queue.popleft()
            self.offset = 0
            size -= rest
        return pieces

    def drop_queue(self) -> None:
        """Forget what waits to be sent."""
        self.queue.clear()
        self.queued = self.offset = 0
