"""Whatever a visitor sends, nothing is raised, upstreams and timers end with the connection, others are served."""

from __future__ import annotations

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingress.http2.world import GET, Caller, call, world_of

Step = tuple[type[Frame], int, list[str], int, list[tuple[bytes, bytes]], str]
KINDS = st.sampled_from(
    [
        HeadersFrame,
        HeadersFrame,
        DataFrame,
        DataFrame,
        ContinuationFrame,
        RstStreamFrame,
        WindowUpdateFrame,
        SettingsFrame,
        PriorityFrame,
        GoAwayFrame,
        PingFrame,
    ]
)
FLAGS = st.lists(st.sampled_from(["END_STREAM", "END_HEADERS", "PADDED", "PRIORITY"]), max_size=3, unique=True)
ODD = [(b"content-length", b"3"), (b"te", b"trailers"), (b"X", b"\n"), (b":method", b"CONNECT"), (b"cookie", b"a")]
STEPS = st.lists(
    st.tuples(
        KINDS,
        st.sampled_from([0, 1, 1, 3, 5, 2]),
        FLAGS,
        st.integers(0, 70_000),
        st.lists(st.sampled_from(ODD), max_size=2),
        st.sampled_from(["", "", "answer", "finish", "break", "time", "half"]),
    ),
    max_size=25,
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000


def _frame(kind: type[Frame], stream: int, flags: list[str], number: int, odd: list[tuple[bytes, bytes]]) -> bytes:
    frame: Frame
    if kind in (HeadersFrame, ContinuationFrame):
        frame = kind(stream or 1, data=Encoder().encode([*GET, *odd]))
    elif kind is DataFrame:
        frame = DataFrame(stream or 1, data=b"x" * (number % 5))
    elif kind is RstStreamFrame:
        frame = RstStreamFrame(stream or 1, error_code=number % 14)
    elif kind is WindowUpdateFrame:
        frame = WindowUpdateFrame(stream, window_increment=1 + number)
    elif kind is SettingsFrame:
        frame = SettingsFrame(0, settings={1 + number % 6: number})
    elif kind is PriorityFrame:
        frame = PriorityFrame(stream or 1, depends_on=number % 7)
    elif kind is GoAwayFrame:
        frame = GoAwayFrame(0, last_stream_id=stream, error_code=number % 14)
    else:
        frame = PingFrame(0, opaque_data=b"12345678")
    for flag in {flag.name for flag in frame.defined_flags} & set(flags):
        frame.flags.add(flag)
    return frame.serialize()


def _upstreams(caller: Caller, what: str) -> None:
    world = caller.world
    if what == "time":
        world.pass_time(20, step=5)
    for far in list(world.app.upstreams):
        if far.lost:
            continue
        if what == "answer":
            far.send(ANSWER)
        elif what == "half":
            far.send(ANSWER[:1_000])
        elif what == "finish":
            far.finish()
        elif what == "break":
            far.break_off()


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_any_frames_in_any_order(steps: list[Step]) -> None:
    """Frames that are well formed, in orders that nobody planned."""
    caller = call(world_of())
    for kind, stream, flags, number, odd, what in steps:
        if not caller.pipe.lost:
            caller.pipe.send(_frame(kind, stream, flags, number, odd))
        _upstreams(caller, what)
        caller.world.clock.advance(0)
    _leaves_nothing(caller)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Bytes that are no frames."""
    caller = call(world_of())
    for piece in pieces:
        if not caller.pipe.lost:
            caller.pipe.send(piece)
        caller.world.clock.advance(0)
    _leaves_nothing(caller)


def _leaves_nothing(caller: Caller) -> None:
    world = caller.world
    other = call(world)
    number = other.ask(GET)
    other.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert other.reply(number).body == b"ok"
    for pipe in (caller.pipe, other.pipe):
        if not pipe.lost:
            pipe.break_off()
    world.pass_time(400, step=5)
    assert not [far for far in world.app.upstreams if not far.lost]
    assert not world.clock.getDelayedCalls()
