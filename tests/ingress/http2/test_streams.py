"""Streams of one connection: they take turns, stall alone, and end as their exchanges do."""

from __future__ import annotations

from hyperframe.frame import PingFrame

from egtunnel.ingress.http2.limits import H2Limits
from tests.ingress.http.test_shared_tunnels import Server
from tests.ingress.http2.world import GET, POST, call, told, world_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CANCEL, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM = 8, 2, 0, 7
KIB = 1024


def response(body: bytes) -> bytes:
    """A response of HTTP/1."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_a_response_ends_its_stream() -> None:
    """Status, fields in lower case without those of the connection, body, end."""
    caller = call()
    number = caller.ask(GET)
    caller.answer(
        b"HTTP/1.1 404 Not Here\r\nX-Own: a\r\nConnection: x-hop\r\nX-Hop: b\r\nContent-Length: 4\r\n\r\ngone"
    )
    reply = caller.reply(number)
    assert (reply.status, reply.body, reply.ended, reply.reset) == (404, b"gone", True, None)
    names = [name for name, _ in reply.fields]
    assert b"x-own" in names
    assert not {b"connection", b"x-hop", b"transfer-encoding"} & set(names)


def test_a_response_without_a_body_is_one_frame() -> None:
    """The header section ends the stream: what gRPC calls trailers alone."""
    caller = call()
    number = caller.ask(GET)
    caller.answer(b"HTTP/1.1 204 No Content\r\n\r\n")
    reply = caller.reply(number)
    assert (reply.status, reply.ended, reply.pieces) == (204, True, [])


def test_trailers_of_a_chunked_response() -> None:
    """They are a header section of their own."""
    caller = call()
    number = caller.ask(GET)
    caller.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n")
    reply = caller.reply(number)
    assert (reply.body, reply.trailers, reply.ended) == (b"ok", [(b"x-sum", b"2")], True)


def test_informational_responses_come_first() -> None:
    """103 before 200."""
    caller = call()
    number = caller.ask(GET)
    caller.answer(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK)
    reply = caller.reply(number)
    assert [dict(fields)[b":status"] for fields in reply.informational] == [b"103"]
    assert reply.status == 200


def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    """As the upstream said."""
    caller = call()
    number = caller.ask([(b":method", b"HEAD"), *GET[1:]])
    caller.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
    reply = caller.reply(number)
    assert (dict(reply.fields)[b"content-length"], reply.body, reply.ended) == (b"1234", b"", True)


def test_two_responses_take_turns() -> None:
    """Frames of both alternate: a large one does not hold up a small one."""
    caller = call(initial_window_size=1 << 20)
    caller.h2.increment_flow_control_window(1 << 20)
    large, small = caller.ask(GET), caller.ask(GET)
    first, second = caller.world.app.upstreams
    caller.pipe.stuck = True
    first.send(response(b"x" * 60 * KIB))
    second.send(response(b"y" * 10))
    caller.world.clock.advance(0)
    caller.pipe.stuck = False
    caller.pipe.flush()
    before = len(caller.events)
    caller.turn(4)
    ends = [
        event.stream_id  # type: ignore[attr-defined]
        for event in caller.events[before:]
        if type(event).__name__ == "StreamEnded"
    ]
    assert ends == [small, large]
    assert caller.reply(large).body == b"x" * 60 * KIB


def test_a_stream_without_window_stalls_alone() -> None:
    """The upstream of what is not read is paused; another is answered; given room, all of it comes."""
    caller = call(initial_window_size=10)
    first, second = caller.ask(GET), caller.ask(GET)
    slow, quick = caller.world.app.upstreams
    whole = response(b"x" * 200 * KIB)
    slow.send(whole[:100_000])
    slow.send(whole[100_000:])
    caller.turn()
    assert caller.reply(first).body == b"x" * 10
    assert not slow.reading
    quick.send(OK)
    caller.turn()
    assert caller.reply(second).ended
    caller.h2.increment_flow_control_window(1 << 20)
    caller.h2.increment_flow_control_window(1 << 20, first)
    caller.turn(6)
    assert caller.reply(first).body == b"x" * 200 * KIB
    assert caller.reply(first).ended


def test_no_more_than_a_buffer_waits_for_a_visitor() -> None:
    """Beyond ``buffer`` the upstream is told to wait, whatever it would send."""
    caller = call(world_of(H2Limits(buffer=1_000)), initial_window_size=0)
    caller.ask(GET)
    far = caller.world.far
    far.send(response(b"x" * 3_000)[:2_000])
    caller.turn()
    assert not far.reading


def test_more_streams_than_allowed_are_refused_and_the_others_go_on() -> None:
    """REFUSED_STREAM: the visitor may ask again (RFC 9113 section 8.7)."""
    caller = call(world_of(H2Limits(streams=2)))
    first, second = caller.ask(GET), caller.ask(GET)
    assert caller.refused(5) == REFUSED_STREAM
    for far in caller.world.app.upstreams:
        far.send(OK)
    caller.turn()
    assert caller.reply(first).ended and caller.reply(second).ended
    assert not caller.goaway


def test_a_connection_is_left_gracefully_after_its_lifetime() -> None:
    """GOAWAY without an error; what was asked is answered; then it ends."""
    caller = call(world_of(H2Limits(lifetime=2)))
    numbers = [caller.ask(GET), caller.ask(GET)]
    assert caller.goaway == [(NO_ERROR, numbers[-1])]
    assert caller.gone is None
    for far in caller.world.app.upstreams:
        far.send(OK)
    caller.turn()
    assert caller.gone == NO_ERROR


def test_a_reset_gives_up_its_upstream_and_no_other() -> None:
    """CANCEL of one request breaks off one upstream connection."""
    caller = call()
    first, second = caller.ask(GET), caller.ask(GET)
    gone, stays = caller.world.app.upstreams
    caller.reset(first, CANCEL)
    assert gone.lost and not stays.lost
    stays.send(OK)
    caller.turn()
    assert caller.reply(second).ended


def test_a_response_that_breaks_off_resets_its_stream() -> None:
    """Nobody takes half a response for a whole one."""
    caller = call()
    number = caller.ask(GET)
    caller.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    caller.world.far.break_off()
    caller.turn()
    reply = caller.reply(number)
    assert (reply.body, reply.ended, reply.reset) == (b"half", False, INTERNAL_ERROR)
    assert not caller.goaway


def test_credit_comes_back_as_the_upstream_takes_the_body() -> None:
    """A body larger than the window goes through; one that the upstream does not take gets no more than a window."""
    limits = H2Limits(window=20_000, connection_window=100_000)
    caller = call(world_of(limits))
    number = caller.open([*POST, (b"content-length", b"100000")])
    for _ in range(10):
        caller.data(number, b"x" * 10_000)
    caller.h2.end_stream(number)
    caller.turn()
    assert told(caller.seen)[2] == b"x" * 100_000


def test_a_body_that_its_upstream_does_not_take_stalls_alone() -> None:
    """Its window is not refilled; another request's body goes on."""
    caller = call(world_of(H2Limits(window=70_000, connection_window=100_000)))
    caller.world.app.stuck = True
    stuck = caller.open([*POST, (b"x-a", b"1")])
    while room := min(caller.h2.local_flow_control_window(stuck), 10_000):
        caller.data(stuck, b"x" * room)
    caller.world.app.stuck = False
    other = caller.open()
    for _ in range(20):
        caller.data(other, b"y" * 10_000)
    assert caller.h2.local_flow_control_window(stuck) == 0
    caller.world.far.take()
    caller.world.app.upstreams[0].stuck = False
    caller.world.app.upstreams[0].flush()
    caller.turn()
    assert caller.h2.local_flow_control_window(stuck) > 0


def test_a_visitor_that_goes_takes_its_requests_along() -> None:
    """No upstream connection is left, and no timer."""
    caller = call()
    caller.ask(GET)
    caller.open()
    caller.pipe.break_off()
    assert all(far.lost for far in caller.world.app.upstreams)
    assert not caller.world.clock.getDelayedCalls()


def test_the_cookie_of_a_server_over_http2() -> None:
    """Crumbs of cookies are one header before it is looked for."""
    world = world_of()
    server = Server("1" * 16)
    world.app.server, world.app.sticky = server, "cookie"
    caller = call(world)
    first = caller.ask(GET)
    caller.answer(OK)
    (cookie,) = [value for name, value in caller.reply(first).fields if name == b"set-cookie"]
    assert cookie.startswith(b"egtunnel-server=" + server.id.encode() + b"; ")
    caller.world.far.take()
    second = caller.ask([*GET, (b"cookie", b"a=1"), (b"cookie", cookie.partition(b";")[0]), (b"cookie", b"b=2")])
    assert b"ookie: a=1; b=2\r\n" in caller.seen
    assert world.app.visitors[-1].cookie == server.id
    caller.answer(OK)
    assert b"set-cookie" not in dict(caller.reply(second).fields)


def test_a_relay_that_leaves_takes_what_is_on_its_way() -> None:
    """GOAWAY for all streams; after the answer to the PING behind it there is no new one (RFC 9113 section 6.8)."""
    caller = call()
    first = caller.ask(GET)
    caller.world.ingress.leave()
    assert caller.refused(first + 2) is None
    second = caller.world.app.upstreams[1]
    caller.raw(PingFrame(0, opaque_data=b"goodbye!", flags=["ACK"]).serialize())
    assert caller.refused(first + 4) == REFUSED_STREAM
    for far in (caller.world.app.upstreams[0], second):
        far.send(OK)
    caller.world.clock.advance(0)
    assert caller.pipe.write_ended or caller.pipe.lost
    assert not far.aborted
