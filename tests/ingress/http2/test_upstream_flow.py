"""Flow control towards services of HTTP/2: who is slow stops its own sender, in either direction."""

from __future__ import annotations

from h2.settings import SettingCodes

from egtunnel.ingress.http2.upstream_limits import H2UpstreamLimits
from tests.ingress.http.world import HIGH_WATER, answers, get
from tests.ingress.http2.upstream_world import Service, serve, world_of_h2c

LIMITS = H2UpstreamLimits()
BIG = 1_000_000
PIECE = b"x" * 16_384
UPLOAD = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: %d\r\n\r\n" % BIG


def test_an_upload_keeps_to_the_window_of_the_service() -> None:
    """No byte more than it allows; the visitor waits meanwhile, and goes on when there is room."""
    world = world_of_h2c()
    visitor = world.visitor(UPLOAD)
    service = serve(world, {SettingCodes.INITIAL_WINDOW_SIZE: 20_000})
    for _ in range(5):
        visitor.send(PIECE)
    service.read()
    assert len(service.body) == 20_000
    assert not visitor.reading
    service.h2.increment_flow_control_window(100_000, service.number)
    service.h2.increment_flow_control_window(100_000)
    service.send()
    assert visitor.reading
    service.read()
    assert len(service.body) > 5 * 16_384 - 1
    assert service.body == b"x" * len(service.body)


def test_the_end_of_an_upload_waits_behind_its_bytes() -> None:
    """Trailers, too."""
    world = world_of_h2c()
    body = b"%x\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (30_000, b"y" * 30_000)
    world.visitor(b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    service = serve(world, {SettingCodes.INITIAL_WINDOW_SIZE: 65_535, SettingCodes.MAX_FRAME_SIZE: 16_384})
    assert (len(service.body), service.ended, service.trailers) == (30_000, True, [(b"x-sum", b"1")])


def test_a_window_that_is_made_smaller_later_is_kept_to() -> None:
    """It may be negative for a while (RFC 9113 section 6.9.2)."""
    world = world_of_h2c()
    visitor = world.visitor(UPLOAD)
    visitor.send(PIECE)
    service = serve(world)
    service.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    service.send()
    assert len(service.body) == 16_384
    visitor.send(PIECE)
    service.read()
    assert len(service.body) == 16_384
    service.h2.increment_flow_control_window(16_384, service.number)
    service.send()
    service.read()
    assert 0 < len(service.body) - 16_384 <= 100


def test_a_transport_that_takes_no_more_stops_the_visitor() -> None:
    """Though the window is open."""
    world = world_of_h2c()
    world.app.stuck = True
    visitor = world.visitor(UPLOAD)
    far = world.far
    for _ in range(20):
        visitor.send(PIECE)
    assert not visitor.reading
    assert far.unsent() < HIGH_WATER + 2 * len(PIECE)


def test_a_visitor_that_does_not_read_stops_the_service() -> None:
    """Nothing more is read from the connection; nothing is missing afterwards."""
    world = world_of_h2c()
    visitor = world.visitor(get())
    service = serve(world)
    service.begin()
    visitor.stuck = True
    sent = 0
    while world.far.reading and sent < 10 * BIG:
        sent += _send_what_there_is_room_for(service)
    assert not world.far.reading
    assert visitor.unsent() < HIGH_WATER + 2 * LIMITS.window
    visitor.stuck = False
    visitor.flush()
    assert world.far.reading
    service.read()
    service.data(b"", end=True)
    assert len(answers(visitor.taken)[0].body) == sent


def _send_what_there_is_room_for(service: Service) -> int:
    size = min(service.room(), 16_384)
    service.data(b"z" * size)
    return size


def test_while_the_request_goes_on_a_slow_visitor_holds_back_only_credit() -> None:
    """The service's own credit must get through, or both would wait for each other."""
    world = world_of_h2c()
    visitor = world.visitor(UPLOAD)
    service = serve(world)
    service.begin()
    visitor.stuck = True
    sent = 0
    while (size := min(service.room(), 16_384)) > 0:
        service.data(b"z" * size)
        sent += size
    assert sent <= 2 * LIMITS.window
    assert world.far.reading
    visitor.send(PIECE)
    service.read()
    assert service.body == PIECE
    visitor.stuck = False
    visitor.flush()
    assert service.room() > LIMITS.window // 2


def test_the_window_grows_once_the_request_has_left() -> None:
    """A download over a long line is not held up by the small window of a conversation."""
    world = world_of_h2c()
    world.visitor(get())
    service = serve(world)
    assert service.room() == LIMITS.window
    service.begin()
    most = 0
    for _ in range(60):
        service.data(b"z" * min(16_384, service.room()))
        most = max(most, service.room())
    assert most > LIMITS.bulk_window // 2


def test_credit_for_the_connection_never_runs_out() -> None:
    """Many responses, one connection."""
    world = world_of_h2c()
    world.visitor(get())
    service = serve(world)
    service.answer()
    for _ in range(40):
        world.visitor(get())
        service.read()
        service.begin()
        for _ in range(4):
            service.data(b"z" * 16_384)
        service.data(b"", end=True)
    assert world.app.dials == 1
    assert service.h2.outbound_flow_control_window > 1 << 20
