"""A relay that leaves its visitors to another: each connection may ask once more, and is told that it was the last."""

from __future__ import annotations

from tests.ingress.http.world import World, answers, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_kept_connection_is_answered_once_more() -> None:
    """Its visitor may just be about to ask: closing it now would be an error in his eyes."""
    world = World()
    visitor = world.visitor(get())
    world.far.send(OK)
    visitor.take()
    world.ingress.leave()
    assert not visitor.lost
    visitor.send(get())
    world.far.send(OK)
    (answer,) = answers(visitor.take())
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    visitor.finish()
    assert visitor.lost


def test_one_that_was_accepted_but_has_not_asked_yet_is_served() -> None:
    """It came before the new relay did."""
    world = World()
    world.ingress.leave()
    visitor = world.visitor(get())
    world.far.send(OK)
    (answer,) = answers(visitor.take())
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_at_once_means_idle_connections_too() -> None:
    """A relay that is stopped waits for what is under way, not for who might ask."""
    world = World()
    idle, busy = world.visitor(get()), world.visitor(get())
    world.app.upstreams[0].send(OK)
    idle.take()
    world.ingress.close()
    idle.finish()
    assert idle.lost
    assert not busy.lost
    world.app.upstreams[1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
    world.app.upstreams[1].send(b"ok")
    (answer,) = answers(busy.take())
    assert answer.body == b"okok"
    busy.finish()
    assert busy.lost


def test_a_response_that_had_begun_is_the_last_of_its_connection() -> None:
    """Its head said keep-alive; the connection ends behind it all the same."""
    world = World()
    visitor = world.visitor(get())
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
    world.ingress.close()
    world.far.send(b"ok")
    assert visitor.write_ended or visitor.lost
