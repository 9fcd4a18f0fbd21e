"""Tunnels that several clients serve: kept connections belong to a server, and requests may go to another one."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface import implementer

from egtunnel.errors import LinkLost, UpstreamRefused
from egtunnel.interfaces import IServer
from tests.ingress.http.test_pool import OK, POST, PUT, idle
from tests.ingress.http.world import World, answers, get


@implementer(IServer)
class Server:
    """One of several."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.kept: set[Any] = set()

    def keep(self, connection: Any) -> None:
        self.kept.add(connection)

    def let_go(self, connection: Any) -> None:
        self.kept.discard(connection)


ONE, TWO = Server("1" * 16), Server("2" * 16)


def a_world(sticky: str = "", **limits: Any) -> World:
    """A world whose tunnel is served by ONE, for now."""
    for server in (ONE, TWO):
        server.kept.clear()
    world = World(**limits)
    world.app.server, world.app.sticky, world.app.elsewhere = ONE, sticky, True
    return world


def test_a_kept_connection_is_used_for_its_own_server_alone() -> None:
    """And each server knows which of its connections wait."""
    world = a_world()
    world.ask(get(), OK)
    first = world.far.protocol
    assert (ONE.kept, TWO.kept) == ({first}, set())
    world.app.server = TWO
    world.ask(get(), OK)
    assert world.app.dials == 2
    assert (ONE.kept, TWO.kept) == ({first}, {world.far.protocol})
    world.app.server = ONE
    world.visitor(get())
    assert world.app.dials == 2
    assert ONE.kept == set()
    assert idle(world) == 1


def test_the_server_is_told_when_one_that_waits_ends() -> None:
    """By itself, by its age, or with the relay."""
    for end in (
        lambda world: world.far.break_off(),
        lambda world: world.pass_time(6),
        lambda world: world.ingress.close(),
        lambda world: world.far.send(b"unasked"),
    ):
        world = a_world(idle_upstream=4)
        world.ask(get(), OK)
        assert len(ONE.kept) == 1
        end(world)
        assert ONE.kept == set()
        assert idle(world) == 0


def test_an_old_one_is_let_go_when_it_is_found() -> None:
    """Between two sweeps."""
    world = a_world(idle_upstream=4)
    world.ask(get(), OK)
    world.clock.advance(3.9)
    world.ask(get(), OK)
    world.clock.advance(0.2)
    world.clock.advance(3.9)
    world.visitor(get())
    assert world.app.dials == 2
    assert ONE.kept == set()


def test_each_server_may_keep_as_many() -> None:
    """One that is used much does not take the room of another."""
    world = a_world(idle_upstreams=1)
    world.ask(get(), OK)
    world.app.server = TWO
    world.ask(get(), OK)
    assert idle(world) == 2


def test_a_request_that_does_no_harm_goes_to_another_server() -> None:
    """Once, if nothing has come of an answer."""
    world = a_world()
    visitor = world.visitor(get("/again"))
    world.far.break_off(LinkLost())
    assert world.app.dials == 2
    assert b"GET /again " in world.far.taken
    world.far.break_off(LinkLost())
    assert world.app.dials == 2
    assert answers(visitor.taken)[0].status == 502


@pytest.mark.parametrize("request_", [POST, PUT], ids=["not idempotent", "with a body"])
def test_one_that_may_do_harm_does_not(request_: bytes) -> None:
    """The visitor decides."""
    world = a_world()
    visitor = world.visitor(request_)
    world.far.break_off(LinkLost())
    assert world.app.dials == 1
    assert answers(visitor.taken)[0].status == 502


def test_without_another_server_nothing_is_repeated() -> None:
    """As with a tunnel of one."""
    world = a_world()
    world.app.elsewhere = False
    world.visitor(get())
    world.far.break_off(UpstreamRefused())
    assert world.app.dials == 1


def test_a_request_leaves_a_server_that_is_not_heard() -> None:
    """Its connection is ended, the answer comes from the other."""
    world = a_world()
    visitor = world.visitor(get())
    first = world.far
    world.app.server = TWO
    first.protocol.move()
    assert first.lost
    assert world.app.dials == 2
    world.far.send(OK)
    assert answers(visitor.taken)[0].status == 200


@pytest.mark.parametrize("what", ["answered", "harmful", "alone", "idle"])
def test_what_cannot_move_stays(what: str) -> None:
    """The server may be heard again."""
    world = a_world()
    if what == "idle":
        world.ask(get(), OK)
    else:
        world.visitor(POST if what == "harmful" else get())
    if what == "answered":
        world.far.send(b"HTTP/1.1 200 OK\r\n")
    world.app.elsewhere = what != "alone"
    world.far.protocol.move()
    assert world.app.dials == 1
    assert not world.far.lost


def test_the_cookie_names_the_server_once() -> None:
    """It is set on the first answer, and neither seen by the service nor set again while it is followed."""
    world = a_world("cookie")
    visitor = world.visitor(get())
    world.far.send(OK)
    cookie = answers(visitor.take())[0].headers["set-cookie"]
    assert cookie == f"egtunnel-server={ONE.id}; Path=/; HttpOnly; SameSite=Lax"
    assert world.app.visitors[-1].cookie == ""
    world.far.take()
    visitor.send(get("/", "app.relay.test", f"Cookie: a=1; egtunnel-server={ONE.id}; b=2"))
    assert b"Cookie: a=1; b=2\r\n" in world.far.take()
    assert world.app.visitors[-1].cookie == ONE.id
    world.far.send(OK)
    assert "set-cookie" not in answers(visitor.take())[0].headers


def test_a_visitor_who_came_to_another_server_is_told() -> None:
    """The one of the cookie was not there."""
    world = a_world("cookie")
    visitor = world.visitor(get("/", "app.relay.test", f"Cookie: egtunnel-server={TWO.id}"))
    assert b"ookie" not in world.far.taken
    world.far.send(OK)
    assert ONE.id in answers(visitor.taken)[0].headers["set-cookie"]


def test_it_is_of_the_tunnel_alone_and_of_https_where_there_is_https() -> None:
    """A tunnel by path has a path; the service's own cookies stay as they are."""
    world = a_world("cookie")
    visitor = world.visitor(get("/app/page", "relay.test"))
    world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1\r\n\r\n")
    head = visitor.taken
    assert b"Set-Cookie: a=1\r\n" in head
    assert b"; Path=/app; HttpOnly; SameSite=Lax\r\n" in head
    world = a_world("cookie", scheme="https", port=443)
    visitor = world.visitor(get())
    world.far.send(OK)
    assert b"; SameSite=Lax; Secure\r\n" in visitor.taken


def test_without_the_option_a_cookie_of_that_name_is_a_cookie() -> None:
    """Nothing is taken out or put in."""
    world = a_world("address")
    visitor = world.visitor(get("/", "app.relay.test", "Cookie: egtunnel-server=x"))
    assert b"Cookie: egtunnel-server=x\r\n" in world.far.taken
    world.far.send(OK)
    assert "set-cookie" not in answers(visitor.taken)[0].headers
