"""Strategies for what a peer might send: random bytes, and frames that are nearly or wholly right."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from egtunnel.mux.frames import MAX_PAYLOAD, RULES, U32, FrameType, encode, header
from egtunnel.mux.windows import MAX_WINDOW

CHANNELS = st.integers(0, 9) | st.sampled_from([0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])
NUMBERS = st.sampled_from([0, 1, 16_383, 16_384, 65_536, 262_144, MAX_WINDOW, MAX_WINDOW + 1, 2**31, 2**32 - 1])
"""Windows and credits at the edges."""


@st.composite
def well_formed(draw: st.DrawFn) -> bytes:
    """A frame that keeps the rules of its type, on some channel."""
    kind = draw(st.sampled_from(FrameType))
    rule = RULES[kind]
    channel = 0 if rule.on_session else draw(CHANNELS.filter(bool))
    flags = draw(st.sampled_from([0, rule.flags]))
    if kind in (FrameType.OPEN, FrameType.ACCEPT, FrameType.CREDIT):
        payload = U32.pack(draw(NUMBERS)) + (b"{}" if kind is FrameType.OPEN else b"")
    elif kind is FrameType.DATA:
        payload = bytes(draw(st.sampled_from([0, 1, 100, 16_384, 16_385, MAX_PAYLOAD])))
    elif kind is FrameType.ACK:
        payload = draw(st.integers(0, 50) | st.integers(0, 2**64 - 1)).to_bytes(8, "big")
    else:
        payload = draw(st.binary(min_size=rule.shortest, max_size=min(rule.longest, 30)))
    return encode(kind, channel, payload, flags)


ANY_HEADER = st.builds(header, st.integers(0, 255), st.integers(0, 255), st.integers(0, MAX_PAYLOAD), CHANNELS)
WELL_FORMED_STREAMS = st.lists(well_formed(), max_size=20).map(b"".join)
STREAMS = st.lists(
    st.one_of(well_formed(), well_formed(), well_formed(), ANY_HEADER, st.binary(max_size=20)), max_size=20
).map(b"".join)
CUTS = st.lists(st.integers(0, 1 << 20), max_size=15)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]
