"""The peer's side of the wire by hand: frames as the specification writes them, and what a mux sent, read back."""

from __future__ import annotations

from typing import Any

from egtunnel.errors import ProtocolError
from egtunnel.mux.budget import Budget
from egtunnel.mux.channel import Channel
from egtunnel.mux.events import ChannelOpened, Event, Faulted
from egtunnel.mux.frames import FIN, U16, U32, U32_U16, U64, Frame, FrameDecoder, FrameType, encode
from egtunnel.mux.mux import Mux, MuxLimits, Role
from egtunnel.mux.windows import INITIAL_WINDOW

ROOMY = 1 << 30
"""A budget and a batch nobody reaches by chance."""


# -- frames of the peer


def message(payload: bytes = b"{}") -> bytes:
    """MESSAGE with this JSON."""
    return encode(FrameType.MESSAGE, 0, payload)


def opening(channel: int, window: int = INITIAL_WINDOW, metadata: bytes = b"{}") -> bytes:
    """OPEN of a channel, with the receive window of its opener."""
    return encode(FrameType.OPEN, channel, U32.pack(window) + metadata)


def accepting(channel: int, window: int = INITIAL_WINDOW) -> bytes:
    """ACCEPT of a channel, with the receive window of its acceptor."""
    return encode(FrameType.ACCEPT, channel, U32.pack(window))


def data(channel: int, payload: bytes = b"", fin: bool = False) -> bytes:
    """DATA on a channel."""
    return encode(FrameType.DATA, channel, payload, FIN if fin else 0)


def credit(channel: int, increment: int) -> bytes:
    """CREDIT of ``increment`` bytes more."""
    return encode(FrameType.CREDIT, channel, U32.pack(increment))


def resetting(channel: int, code: int = 0, text: bytes = b"") -> bytes:
    """RESET of a channel."""
    return encode(FrameType.RESET, channel, U16.pack(code) + text)


def ping(payload: bytes = b"12345678") -> bytes:
    """PING with 8 opaque bytes."""
    return encode(FrameType.PING, 0, payload)


def pong(payload: bytes = b"12345678") -> bytes:
    """PONG with the 8 bytes of a ping."""
    return encode(FrameType.PONG, 0, payload)


def ack(position: int) -> bytes:
    """ACK of everything up to ``position``."""
    return encode(FrameType.ACK, 0, U64.pack(position))


def goaway(last: int = 0, code: int = 0, text: bytes = b"") -> bytes:
    """GOAWAY with the last channel that was accepted."""
    return encode(FrameType.GOAWAY, 0, U32_U16.pack(last, code) + text)


SAMPLES: dict[FrameType, Any] = {
    FrameType.OPEN: opening,
    FrameType.ACCEPT: accepting,
    FrameType.DATA: lambda channel: data(channel, b"x"),
    FrameType.CREDIT: lambda channel: credit(channel, 1),
    FrameType.RESET: resetting,
}
"""One well-formed frame of each type that belongs to a channel."""


# -- muxes, and what they said


def a_mux(role: Role = Role.RELAY, budget: Budget | None = None, **limits: int) -> Mux:
    """A mux with room for everything but what ``limits`` says."""
    return Mux(role, MuxLimits(**limits), budget or Budget(ROOMY))


def sent(mux: Mux, limit: int = ROOMY) -> list[Frame]:
    """The frames a mux wants to send now."""
    decoder = FrameDecoder()
    frames, fault = decoder.feed(b"".join(mux.frames_to_send(limit)))
    assert fault is None, fault
    assert not decoder.pending, "only whole frames leave"
    return frames


def waiting(mux: Mux) -> int:
    """The bytes held for what waits in channels: the rest of the budget is what left and is not acknowledged."""
    return mux.budget.held - mux.outbound.replay.held


def kinds(frames: list[Frame]) -> list[tuple[str, int]]:
    """What frames are, without their payload: type and channel."""
    return [(FrameType(frame.type).name, frame.channel) for frame in frames]


def offered(mux: Mux, number: int = 1, window: int = INITIAL_WINDOW) -> Channel:
    """A channel the peer has opened and nobody has accepted."""
    (event,) = mux.receive(opening(number, window))
    assert isinstance(event, ChannelOpened)
    return event.channel


def accepted(mux: Mux, number: int = 1, window: int = INITIAL_WINDOW) -> Channel:
    """A channel the peer has opened and we have accepted; the ACCEPT has left."""
    channel = offered(mux, number, window)
    mux.accept(channel)
    assert ("ACCEPT", number) in kinds(sent(mux, 0))
    return channel


def opened(mux: Mux, window: int = INITIAL_WINDOW) -> Channel:
    """A channel we have opened and the peer has accepted."""
    channel = mux.open(b"{}")
    sent(mux, 0)
    assert len(mux.receive(accepting(channel.id, window))) == 1
    return channel


def fault_in(events: list[Event]) -> ProtocolError:
    """The broken rule that ended a mux: its last event, and only the last."""
    assert events, "nothing happened"
    last = events[-1]
    assert isinstance(last, Faulted), events
    assert not any(isinstance(event, Faulted) for event in events[:-1])
    return last.error
