"""A slow reader stops its own sender, in either direction, and nothing grows."""

from __future__ import annotations

from tests.ingress.http.world import HIGH_WATER, World, answers, get

BIG = 1_000_000
PIECE = b"x" * 65_536


def test_a_visitor_that_does_not_read_stops_its_upstream() -> None:
    """At most a buffer and one read are held; when it reads again all goes on, and nothing is missing."""
    world = World()
    visitor = world.visitor(get())
    visitor.stuck = True
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (16 * len(PIECE)))
    for _ in range(16):
        world.far.send(PIECE)
    assert not world.far.reading
    assert visitor.unsent() <= HIGH_WATER + len(PIECE) + 200
    visitor.stuck = False
    visitor.flush()
    (answer,) = answers(visitor.taken)
    assert answer.body == PIECE * 16
    assert world.far.reading


def test_an_upstream_that_does_not_read_stops_its_visitor() -> None:
    """Likewise, and other visitors do not notice."""
    world = World()
    visitor = world.visitor(
        b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: %d\r\n\r\n" % (16 * len(PIECE))
    )
    upload = world.far
    upload.stuck = True
    for _ in range(16):
        visitor.send(PIECE)
    assert not visitor.reading
    assert upload.unsent() <= HIGH_WATER + len(PIECE)
    other = world.visitor(get())
    world.far.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert answers(other.taken)[0].status == 204
    upload.stuck = False
    upload.flush()
    assert upload.taken.endswith(PIECE * 16)
    assert visitor.reading


def test_a_connection_that_was_paused_is_kept_in_reading_order() -> None:
    """A response that filled the visitor's buffer leaves an upstream connection that still notices its end."""
    world = World()
    visitor = world.visitor(get())
    visitor.stuck = True
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    assert world.far.reading
    world.far.finish()
    assert world.ingress.site.pools == {}


def test_the_next_request_waits_until_the_last_response_has_left() -> None:
    """Pipelining does not pile up responses."""
    world = World()
    visitor = world.visitor(get("/1") + get("/2"))
    visitor.stuck = True
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    assert b"/2" not in world.far.taken
    assert not visitor.reading
    visitor.stuck = False
    visitor.flush()
    assert b"/2" in world.far.taken
    assert visitor.reading


def test_a_full_upstream_is_not_asked_for_more_by_a_waiting_body() -> None:
    """The body's part that came with the head goes, the rest waits in the visitor's own kernel."""
    world = World()
    world.app.held = True
    visitor = world.visitor(b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: %d\r\n\r\nabc" % BIG)
    visitor.send(PIECE)
    assert not visitor.reading
    world.app.waiting.callback(None)
    assert world.far.taken.endswith(b"abc" + PIECE)
    assert visitor.reading


def test_a_body_that_waited_for_a_connection_can_fill_it_at_once() -> None:
    """Reading stays paused then, or what comes would pile up behind it."""
    world = World()
    world.app.held = world.app.stuck = True
    visitor = world.visitor(b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: %d\r\n\r\n" % BIG + PIECE * 2)
    world.app.waiting.callback(None)
    assert world.far.unsent() > HIGH_WATER
    assert not visitor.reading
    world.far.stuck = False
    world.far.flush()
    assert visitor.reading
