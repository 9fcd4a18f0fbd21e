"""Whatever a service sends, nothing is raised, the visitor gets a response or an end, and no timer is left."""

from __future__ import annotations

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingress.http.world import get
from tests.ingress.http2.upstream_world import world_of_h2c

POST = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n" + b"y" * 70_000
STREAMS = st.sampled_from([1, 1, 1, 1, 3, 2, 0])
FLAGS = st.lists(st.sampled_from(["END_STREAM", "END_HEADERS", "PADDED", "PRIORITY"]), max_size=3, unique=True)
FIELDS = st.lists(
    st.sampled_from(
        [
            (b":status", b"200"),
            (b":status", b"103"),
            (b":status", b"304"),
            (b"content-length", b"3"),
            (b"x-own", b"1"),
            (b"X-Own", b"\n"),
            (b"grpc-status", b"0"),
        ]
    ),
    max_size=3,
)


def _frame(kind: type[Frame], stream: int, flags: list[str], fields: list[tuple[bytes, bytes]], number: int) -> bytes:
    if kind is HeadersFrame:
        frame: Frame = HeadersFrame(stream or 1, data=Encoder().encode(fields))
    elif kind is ContinuationFrame:
        frame = ContinuationFrame(stream or 1, data=Encoder().encode(fields))
    elif kind is DataFrame:
        frame = DataFrame(stream or 1, data=b"x" * (number % 5))
    elif kind is RstStreamFrame:
        frame = RstStreamFrame(stream or 1, error_code=number % 14)
    elif kind is WindowUpdateFrame:
        frame = WindowUpdateFrame(stream, window_increment=1 + number)
    elif kind is SettingsFrame:
        frame = SettingsFrame(0, settings={1 + number % 6: number})
    elif kind is GoAwayFrame:
        frame = GoAwayFrame(0, last_stream_id=stream, error_code=number % 14)
    else:
        frame = PingFrame(0, opaque_data=b"12345678")
    for flag in {flag.name for flag in frame.defined_flags} & set(flags):
        frame.flags.add(flag)
    data: bytes = frame.serialize()
    return data


KINDS: list[type[Frame]] = [
    HeadersFrame,
    HeadersFrame,
    DataFrame,
    DataFrame,
    ContinuationFrame,
    RstStreamFrame,
    WindowUpdateFrame,
    SettingsFrame,
    GoAwayFrame,
    PingFrame,
]
FRAMES = st.builds(_frame, st.sampled_from(KINDS), STREAMS, FLAGS, FIELDS, st.integers(0, 100_000))
GREETING: bytes = SettingsFrame(0).serialize()


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAMES, max_size=12), st.booleans(), st.integers(1, 400), st.binary(max_size=20))
def test_no_frames_raise_anything(frames: list[bytes], upload: bool, size: int, noise: bytes) -> None:
    """In any order, cut anywhere, with noise behind them."""
    world = world_of_h2c(
        answer=10, upstream_stall=10, linger=2, idle_upstream=2, keep_alive=5, body_wait=5, half_closed=1
    )
    visitor = world.visitor(POST if upload else get())
    data = GREETING + b"".join(frames) + noise
    far = world.far
    for place in range(0, len(data), size):
        far.send(data[place : place + size])
    world.pass_time(5, 2.5)
    if upload and not visitor.lost:
        visitor.send(b"\r\n0\r\n\r\n")
    far.finish()
    world.pass_time(40, 2.5)
    assert visitor.taken or visitor.lost
    if not visitor.lost:
        visitor.break_off()
    world.pass_time(10, 2.5)
    assert far.lost
    assert world.ingress.site.pools == {}
    assert not world.clock.getDelayedCalls()
