"""Frames, the unit of the wire protocol: an 8-byte header and a payload (docs/protocol.md, section "Frames")."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from egtunnel.errors import FrameError, LocalProtocolError, UnknownFrameType

__all__ = [
    "EARLY_WINDOW",
    "FIN",
    "HEADER",
    "HEADER_SIZE",
    "MAX_PAYLOAD",
    "MAX_REASON",
    "Frame",
    "FrameDecoder",
    "FrameType",
    "encode",
    "fitting",
    "header",
]

HEADER = Struct("!BBHI")
HEADER_SIZE = HEADER.size
MAX_PAYLOAD = 65_535
"""The largest payload of one frame, in bytes."""
MAX_REASON = 200
"""The longest text in a RESET or GOAWAY, in bytes of UTF-8."""
EARLY_WINDOW = 16_384
"""How many bytes an opener may send before it has seen the ACCEPT; they count against the window given there."""
FIN = 0x01
"""The flag of a DATA frame that is the last of its direction."""

U16 = Struct("!H")
U32 = Struct("!I")
U64 = Struct("!Q")
U32_U16 = Struct("!IH")
LAST_COUNTED = 6
"""Frames of types up to this one, RESET, are counted by ACK; PING, PONG, ACK and GOAWAY are not."""


class FrameType(IntEnum):
    """The types of frames; channel 0 carries those of the session."""

    MESSAGE = 1
    OPEN = 2
    ACCEPT = 3
    DATA = 4
    CREDIT = 5
    RESET = 6
    PING = 7
    PONG = 8
    ACK = 9
    GOAWAY = 10


class Frame(NamedTuple):
    """One frame as it was read; ``type`` is the plain number, for speed."""

    type: int
    flags: int
    channel: int
    payload: bytes


class _Rule(NamedTuple):
    flags: int
    shortest: int
    longest: int
    on_session: bool


# What a header may say, by type: allowed flags, bounds of the payload, and whether it belongs to channel 0.
RULES: dict[int, _Rule] = {
    FrameType.MESSAGE: _Rule(0, 2, MAX_PAYLOAD, True),
    FrameType.OPEN: _Rule(0, 6, MAX_PAYLOAD, False),
    FrameType.ACCEPT: _Rule(0, 4, 4, False),
    FrameType.DATA: _Rule(FIN, 0, MAX_PAYLOAD, False),
    FrameType.CREDIT: _Rule(0, 4, 4, False),
    FrameType.RESET: _Rule(0, 2, 2 + MAX_REASON, False),
    FrameType.PING: _Rule(0, 8, 8, True),
    FrameType.PONG: _Rule(0, 8, 8, True),
    FrameType.ACK: _Rule(0, 8, 8, True),
    FrameType.GOAWAY: _Rule(0, 6, 6 + MAX_REASON, True),
}

header = HEADER.pack
"""``header(type, flags, length, channel)``: the 8 bytes in front of a payload."""


def encode(kind: int, channel: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """One whole frame as bytes."""
    return HEADER.pack(kind, flags, len(payload), channel) + payload


def fitting(kind: FrameType, channel: int, payload: bytes) -> bytes:
    """One whole frame whose payload is not of our own making; raises LocalProtocolError if it does not fit its type."""
    rule = RULES[kind]
    if not rule.shortest <= len(payload) <= rule.longest:
        raise LocalProtocolError(f"{kind.name} with a payload of {len(payload)} bytes")
    return encode(kind, channel, payload)


def _check(kind: int, flags: int, length: int, channel: int) -> None:
    """Raise the named error if a header breaks the rules of its type."""
    rule = RULES.get(kind)
    if rule is None:
        raise UnknownFrameType(f"frame type {kind} is not known")
    name = FrameType(kind).name
    if flags & ~rule.flags:
        raise FrameError(f"{name} with unknown flags {flags:#04x}")
    if not rule.shortest <= length <= rule.longest:
        raise FrameError(f"{name} with a payload of {length} bytes")
    if rule.on_session != (channel == 0):
        raise FrameError(f"{name} on channel {channel}")


class FrameDecoder:
    """Bytes in, frames out, whatever the chunks; holds at most one unfinished frame.

    ``consumed`` counts the bytes of all whole frames so far.
    """

    __slots__ = ("_have", "_need", "_parts", "consumed")

    def __init__(self) -> None:
        self.consumed = 0
        self._parts: list[bytes] = []
        self._have = 0
        self._need = HEADER_SIZE

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return self._have

    def drop(self) -> None:
        """Forget an unfinished frame, of which the rest will not come."""
        self._parts = []
        self._have = 0
        self._need = HEADER_SIZE

    def feed(self, data: bytes) -> tuple[list[Frame], FrameError | UnknownFrameType | None]:
        """The frames that ``data`` completes, and the fault that ended them, if any. Feed nothing after a fault."""
        if self._have:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return [], None
            data = b"".join(self._parts)
        return self._split(data)

    def _split(self, data: bytes) -> tuple[list[Frame], FrameError | UnknownFrameType | None]:
        frames: list[Frame] = []
        unpack = HEADER.unpack_from
        offset, end = 0, len(data)
        need = HEADER_SIZE
        while end - offset >= HEADER_SIZE:
            kind, flags, length, channel = unpack(data, offset)
            if kind != 4 or flags > FIN or not channel:  # DATA of any length is the common case
                try:
                    _check(kind, flags, length, channel)
                except (FrameError, UnknownFrameType) as fault:
                    self.drop()
                    return frames, fault
            start = offset + HEADER_SIZE
            if start + length > end:
                need = HEADER_SIZE + length
                break
            offset = start + length
            frames.append(Frame(kind, flags, channel, data[start:offset]))
        self.consumed += offset
        rest = data[offset:] if offset < end else b""
        self._parts = [rest] if rest else []
        self._have = len(rest)
        self._need = need
        return frames, None
