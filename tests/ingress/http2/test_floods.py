"""Each limit of HTTP/2 and what goes beyond it: the connection ends with a clear code, or one request does."""

from __future__ import annotations

import pytest
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
)

from egtunnel.ingress.http2.limits import H2Limits
from tests.ingress.http2.world import GET, POST, SECTION, Caller, call, world_of

CALM, FRAME_SIZE_ERROR, NO_ERROR = 11, 6, 0
FEW = H2Limits(resets=10, reset_rate=1.0, control=10, control_rate=1.0)
PING = PingFrame(0, opaque_data=b"12345678").serialize()

NOTHINGS: dict[str, bytes] = {
    "ping": PING,
    "settings": SettingsFrame(0, settings={1: 100}).serialize(),
    "priority": PriorityFrame(9, depends_on=0).serialize(),
    "an unknown type": b"\0\0\1\xbb\0\0\0\0\0x",
    "empty data": DataFrame(1, data=b"").serialize(),
}


def flood(caller: Caller, frame: bytes, count: int) -> None:
    """So many of them."""
    for _ in range(count):
        if not caller.goaway:
            caller.raw(frame)


def last_words(caller: Caller, data: bytes) -> int | None:
    """The code of the GOAWAY that follows these bytes; the visitor's library knows nothing of their streams."""
    caller.send()
    caller.pipe.send(data)
    caller.world.clock.advance(0)
    said = caller.pipe.take()
    while said:
        frame, length = Frame.parse_frame_header(memoryview(said[:9]))
        if isinstance(frame, GoAwayFrame):
            frame.parse_body(memoryview(said[9 : 9 + length]))
            return int(frame.error_code)
        said = said[9 + length :]
    return None


@pytest.mark.parametrize("kind", NOTHINGS)
def test_frames_that_carry_nothing(kind: str) -> None:
    """As many as are allowed, then one more."""
    caller = call(world_of(FEW))
    caller.open(POST)
    far = caller.world.far
    flood(caller, NOTHINGS[kind], 8)
    assert not caller.goaway
    flood(caller, NOTHINGS[kind], 5)
    assert caller.gone == CALM
    assert far.lost


@pytest.mark.parametrize("kind", NOTHINGS)
def test_the_same_frames_in_their_time(kind: str) -> None:
    """A steady rate of them is never too many."""
    caller = call(world_of(FEW))
    caller.open(POST)
    for _ in range(50):
        caller.world.clock.advance(1)
        flood(caller, NOTHINGS[kind], 1)
    assert not caller.goaway


def test_all_frames_of_one_read_are_counted() -> None:
    """A flood that arrives in one piece is one."""
    caller = call(world_of(FEW))
    caller.raw(PING * 100)
    assert caller.gone == CALM


def test_requests_that_are_given_up_at_once() -> None:
    """CVE-2023-44487 in one read: it ends at the limit, not when all of it was served."""
    caller = call(world_of(FEW))
    pieces = []
    for number in range(1, 2_001, 2):
        head = HeadersFrame(number, SECTION, flags=["END_HEADERS", "END_STREAM"])
        pieces += [head.serialize(), RstStreamFrame(number, error_code=8).serialize()]
    assert last_words(caller, b"".join(pieces)) == CALM
    assert caller.world.app.dials <= FEW.resets + 1
    assert all(far.lost for far in caller.world.app.upstreams)


def test_requests_that_are_made_to_be_reset() -> None:
    """CVE-2025-8671: our own resets count as the visitor's do."""
    caller = call(world_of(FEW))
    pieces = []
    for number in range(1, 201, 2):
        pieces.append(HeadersFrame(number, SECTION, flags=["END_HEADERS", "END_STREAM"]).serialize())
        pieces.append(DataFrame(number, data=b"more").serialize())
    assert last_words(caller, b"".join(pieces)) == CALM


def test_resets_in_their_time() -> None:
    """A reader that leaves pages early, all day long."""
    caller = call(world_of(FEW))
    for _ in range(50):
        caller.world.clock.advance(1)
        caller.reset(caller.ask(GET))
    assert not caller.goaway


def test_a_header_block_without_end() -> None:
    """CONTINUATION flood: no more than ``header_block`` is held."""
    caller = call(world_of(H2Limits(header_block=2_000)))
    caller.raw(HeadersFrame(1, SECTION, flags=["END_STREAM"]).serialize())
    for _ in range(4):
        assert not caller.goaway
        caller.raw(ContinuationFrame(1, b"x" * 500).serialize())
    assert caller.gone == CALM


def test_a_header_list_that_unfolds() -> None:
    """A bomb of references to one long field ends as it unfolds beyond ``header_list``."""
    caller = call(world_of(H2Limits(header_list=8_000)))
    encoder = Encoder()
    block = encoder.encode([(":method", "GET"), *[("x-long", "y" * 1_000)] * 100])
    assert len(block) < 1_200
    caller.raw(HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
    assert caller.gone is not None
    assert caller.gone != NO_ERROR
    assert not caller.world.app.upstreams


def test_a_frame_that_is_too_long() -> None:
    """Refused by what its header says, before its body is here."""
    caller = call()
    caller.raw(DataFrame(1, data=b"x" * 20_000).serialize()[:18_000])
    assert caller.gone == FRAME_SIZE_ERROR


def test_a_visitor_that_sends_no_preface() -> None:
    """HTTP/1 where ALPN said HTTP/2."""
    caller = call()
    fresh = Caller(caller.world, {})
    fresh.h2.data_to_send()
    fresh.pipe.send(b"GET / HTTP/1.1\r\nHost: app.relay.test\r\n\r\n")
    assert fresh.pipe.lost or fresh.pipe.write_ended


def test_a_visitor_that_says_nothing() -> None:
    """The first words have ``head_wait`` seconds."""
    world = world_of(head_wait=10)
    silent = Caller(world, {})
    world.pass_time(11)
    assert silent.pipe.lost or silent.pipe.write_ended


def test_a_connection_without_requests() -> None:
    """GOAWAY without an error after ``keep_alive`` seconds; a PING does not keep it."""
    caller = call(world_of(keep_alive=75))
    caller.world.pass_time(70)
    caller.raw(PING)
    caller.world.pass_time(6)
    caller.read()
    assert caller.gone == NO_ERROR


def test_a_visitor_that_vanished_is_asked_and_left() -> None:
    """Nothing came for ``quiet`` seconds though a request is open: a PING, and as long again for its answer."""
    caller = call(world_of(H2Limits(quiet=45, tick=5), answer=1_000))
    caller.ask(GET)
    far = caller.world.far
    caller.world.pass_time(60)
    assert b"are you?" in caller.pipe.taken
    assert not caller.pipe.lost
    caller.world.pass_time(60)
    assert caller.pipe.lost and far.lost


def test_a_visitor_that_answers_is_waited_for() -> None:
    """A response may take as long as its service wants."""
    caller = call(world_of(H2Limits(quiet=45, tick=5), answer=1_000))
    caller.ask(GET)
    for _ in range(30):
        caller.world.pass_time(10)
        caller.turn()
    assert not caller.pipe.lost


def test_a_visitor_that_takes_nothing_of_one_response() -> None:
    """Its request is reset after ``stall`` seconds; another is answered meanwhile."""
    caller = call(world_of(H2Limits(tick=1), stall=60), initial_window_size=10)
    number = caller.ask(GET)
    far = caller.world.far
    far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100)
    for _ in range(63):
        caller.world.pass_time(1)
        caller.turn()
    assert caller.reply(number).reset is not None
    assert not caller.goaway
    assert caller.reply(caller.ask(GET)).reset is None


def test_a_visitor_that_takes_nothing_at_all() -> None:
    """The connection is cut after ``stall`` seconds with a full transport."""
    caller = call(world_of(H2Limits(tick=1), stall=60), initial_window_size=1 << 20)
    caller.h2.increment_flow_control_window(1 << 20)
    caller.ask(GET)
    caller.pipe.stuck = True
    caller.world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
    caller.world.pass_time(59)
    assert not caller.pipe.lost
    caller.world.pass_time(3)
    assert caller.pipe.aborted
