"""Frames: eight bytes of header, rules by type, and bytes in any chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.errors import FrameError, ProtocolError, UnknownFrameType
from egtunnel.mux.frames import (
    FIN,
    HEADER_SIZE,
    LAST_COUNTED,
    MAX_PAYLOAD,
    RULES,
    Frame,
    FrameDecoder,
    FrameType,
    encode,
    header,
)


def decoded(data: bytes) -> list[Frame]:
    """The whole frames in ``data``, which breaks no rule."""
    frames, fault = FrameDecoder().feed(data)
    assert fault is None, fault
    return frames


def fault_of(data: bytes) -> ProtocolError:
    """The rule that ``data`` breaks."""
    _, fault = FrameDecoder().feed(data)
    assert fault is not None
    return fault


def test_a_header_is_type_flags_length_and_channel_in_network_order() -> None:
    """type u8, flags u8, length u16, channel u32."""
    assert header(FrameType.DATA, FIN, 0x0203, 0x04050607) == bytes((4, 1, 2, 3, 4, 5, 6, 7))
    assert HEADER_SIZE == 8


def test_the_numbers_of_the_types_never_change() -> None:
    """They are the wire."""
    assert {kind.name: kind.value for kind in FrameType} == {
        "MESSAGE": 1, "OPEN": 2, "ACCEPT": 3, "DATA": 4, "CREDIT": 5,
        "RESET": 6, "PING": 7, "PONG": 8, "ACK": 9, "GOAWAY": 10,
    }  # fmt: skip


def test_every_type_has_rules() -> None:
    """There is no type whose header is not checked."""
    assert set(RULES) == set(FrameType)


def test_counted_frames_are_those_up_to_reset() -> None:
    """ACK counts MESSAGE, OPEN, ACCEPT, DATA, CREDIT and RESET."""
    assert [kind for kind in FrameType if kind > LAST_COUNTED] == [
        FrameType.PING,
        FrameType.PONG,
        FrameType.ACK,
        FrameType.GOAWAY,
    ]


@pytest.mark.parametrize("kind", list(FrameType))
def test_a_frame_of_each_type_survives_the_wire(kind: FrameType) -> None:
    """encode and FrameDecoder are inverse, for the shortest and the longest payload."""
    rule = RULES[kind]
    channel = 0 if rule.on_session else 7
    for size in {rule.shortest, rule.longest}:
        payload = bytes(size)
        assert decoded(encode(kind, channel, payload, rule.flags)) == [Frame(kind, rule.flags, channel, payload)]


@pytest.mark.parametrize("kind", [0, *range(11, 256)])
def test_an_unknown_type_is_named(kind: int) -> None:
    """unknown-frame-type, whatever else the header says."""
    assert isinstance(fault_of(header(kind, 0, 0, 0)), UnknownFrameType)


@pytest.mark.parametrize("kind", list(FrameType))
def test_unknown_flags_are_an_error(kind: FrameType) -> None:
    """Each bit that a type does not know is refused, so that it can get a meaning later."""
    rule = RULES[kind]
    for bit in range(8):
        flag = 1 << bit
        if flag & ~rule.flags:
            found = fault_of(header(kind, flag, rule.shortest, 0 if rule.on_session else 1))
            assert isinstance(found, FrameError), (kind, flag)


@pytest.mark.parametrize("kind", list(FrameType))
def test_a_payload_outside_the_bounds_of_its_type_is_an_error(kind: FrameType) -> None:
    """One byte too short and one too long, from the header alone."""
    rule = RULES[kind]
    channel = 0 if rule.on_session else 1
    for length in (rule.shortest - 1, rule.longest + 1):
        if 0 <= length <= MAX_PAYLOAD:
            assert isinstance(fault_of(header(kind, 0, length, channel)), FrameError), (kind, length)


@pytest.mark.parametrize("kind", list(FrameType))
def test_a_frame_on_the_wrong_kind_of_channel_is_an_error(kind: FrameType) -> None:
    """Frames of the session belong to channel 0, all others do not."""
    rule = RULES[kind]
    wrong = 9 if rule.on_session else 0
    assert isinstance(fault_of(header(kind, 0, rule.shortest, wrong)), FrameError)


def test_frames_before_a_fault_still_count() -> None:
    """What came whole and well came."""
    good = encode(FrameType.DATA, 1, b"abc")
    frames, fault = FrameDecoder().feed(good + header(99, 0, 0, 0))
    assert frames == [Frame(FrameType.DATA, 0, 1, b"abc")]
    assert isinstance(fault, UnknownFrameType)


def test_a_fault_is_found_with_the_header_before_any_payload_came() -> None:
    """A bad frame is not collected first."""
    assert isinstance(fault_of(header(FrameType.PING, 0, 65_535, 0)), FrameError)


def test_the_decoder_holds_at_most_one_unfinished_frame() -> None:
    """Its memory is bounded by 65,543 bytes whatever comes."""
    decoder = FrameDecoder()
    whole = encode(FrameType.DATA, 1, bytes(MAX_PAYLOAD))
    decoder.feed(whole * 3 + whole[:-1])
    assert decoder.pending == HEADER_SIZE + MAX_PAYLOAD - 1
    frames, _ = decoder.feed(whole[-1:])
    assert len(frames) == 1
    assert decoder.pending == 0


def test_consumed_counts_whole_frames() -> None:
    """A half frame is not consumed."""
    decoder = FrameDecoder()
    decoder.feed(encode(FrameType.DATA, 1, b"abc") + b"\x04\x00")
    assert decoder.consumed == 11
    decoder.feed(b"\x00\x00\x00\x00\x00\x01")
    assert decoder.consumed == 19


FRAMES = st.lists(
    st.builds(
        lambda channel, payload, fin: Frame(FrameType.DATA, FIN if fin else 0, channel, payload),
        st.integers(1, 0xFFFFFFFF),
        st.binary(max_size=40),
        st.booleans(),
    )
    | st.builds(lambda payload: Frame(FrameType.PING, 0, 0, payload), st.binary(min_size=8, max_size=8)),
    max_size=8,
)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


@given(FRAMES, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_gives_the_same_frames(frames: list[Frame], cuts: list[int]) -> None:
    """Boundaries of reads mean nothing."""
    data = b"".join(encode(frame.type, frame.channel, frame.payload, frame.flags) for frame in frames)
    decoder = FrameDecoder()
    got: list[Frame] = []
    for chunk in chunks(data, cuts):
        more, fault = decoder.feed(chunk)
        assert fault is None
        got += more
    assert got == frames
    assert decoder.consumed == len(data)


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_of_any_bytes_gives_the_same_frames_and_fault(data: bytes, cuts: list[int]) -> None:
    """Hostile bytes are judged alike however they are cut."""
    expected, fault = FrameDecoder().feed(data)
    decoder = FrameDecoder()
    got: list[Frame] = []
    for chunk in chunks(data, cuts):
        more, found = decoder.feed(chunk)
        got += more
        if found is not None:
            assert str(found) == str(fault)
            break
    else:
        assert fault is None
    assert got == expected
