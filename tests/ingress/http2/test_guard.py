"""A tunnel's rules for visitors over HTTP/2: each stream is judged, and none waits for another."""

from __future__ import annotations

from typing import Any

from egtunnel.guard import Answer, Denial
from tests.guards import Decided, Deciding
from tests.ingress.http.world import World
from tests.ingress.http2.test_websocket import CONNECT, switching
from tests.ingress.http2.world import GET, POST, Caller, call, told

NO = Denial(401, "unauthorized", "Say who you are.", ((b"WWW-Authenticate", b"Basic"),))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def guarded(guard: Any) -> Caller:
    """A connection to a world whose tunnel has this guard."""
    world = World()
    world.app.guard = guard
    return call(world)


def test_a_stream_that_is_refused_is_answered_and_others_go_on() -> None:
    """On the same connection."""
    guard = Decided(NO)
    caller = guarded(guard)
    first = caller.ask()
    assert (caller.reply(first).status, caller.reply(first).ended) == (401, True)
    assert (b"www-authenticate", b"Basic") in caller.reply(first).fields
    guard.verdict = None
    second = caller.ask()
    caller.answer(OK)
    assert caller.reply(second).body == b"ok"


def test_streams_wait_for_their_own_decisions() -> None:
    """The second may be answered first."""
    guard = Deciding()
    caller = guarded(guard)
    first, second = caller.ask(), caller.ask(POST, b"body")
    guard.deciding[1].callback(None)
    caller.answer(OK)
    assert (caller.reply(first).status, caller.reply(second).status) == (0, 200)
    assert b"body" in caller.world.far.taken
    guard.deciding[0].callback(NO)
    caller.turn()
    assert caller.reply(first).status == 401
    assert caller.world.app.dials == 1


def test_while_a_decision_is_awaited_a_body_gets_no_credit() -> None:
    """What comes within the window waits."""
    guard = Deciding()
    caller = guarded(guard)
    number = caller.open(POST)
    window = caller.h2.local_flow_control_window(number)
    while caller.h2.local_flow_control_window(number) > 0:
        caller.data(number, b"x" * min(16_384, caller.h2.local_flow_control_window(number)))
    assert caller.world.app.upstreams == []
    guard.deciding[0].callback(None)
    caller.turn()
    assert caller.world.far.taken.count(b"x") >= window
    assert caller.h2.local_flow_control_window(number) > 0


def test_a_refusal_of_a_stream_whose_body_still_comes() -> None:
    """The connection goes on."""
    caller = guarded(Decided(NO))
    number = caller.open(POST)
    assert caller.reply(number).status == 401
    caller.data(number, b"x" * 100, end=True)
    assert caller.reply(caller.ask()).status == 401


def test_a_stream_that_is_given_up_is_not_judged_any_more() -> None:
    """Nobody is dialed for it."""
    guard = Deciding()
    caller = guarded(guard)
    caller.reset(caller.ask())
    assert guard.cancelled == 1
    assert caller.world.app.visitors == []


def test_a_websocket_is_judged() -> None:
    """Refused with a status; let in as ever."""
    guard = Deciding()
    caller = guarded(guard)
    first, second = caller.open(CONNECT), caller.open(CONNECT)
    assert guard.asked[0].upgrade == b"websocket"
    guard.deciding[0].callback(NO)
    guard.deciding[1].callback(None)
    caller.turn()
    caller.answer(switching(told(caller.seen)[1]["sec-websocket-key"]))
    assert (caller.reply(first).status, caller.reply(second).status) == (401, 200)


def test_a_page_of_a_rule_does_not_open_a_websocket() -> None:
    """To a CONNECT any 2xx would say that it is open."""
    caller = guarded(Decided(Answer(200, body=b"log in")))
    number = caller.open(CONNECT)
    assert caller.reply(number).status >= 400
    page = caller.ask(GET)
    assert caller.reply(page).body == b"log in"
