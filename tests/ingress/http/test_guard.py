"""A tunnel's rules for visitors over HTTP/1: asked before the dialer, at once or later."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.python.failure import Failure

from egtunnel.errors import Denied, UpstreamBroke
from egtunnel.guard import Answer, Denial, RulesChanged
from tests.guards import Decided, Deciding
from tests.ingress.http.world import Answer as Told
from tests.ingress.http.world import Pipe, World, answers, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO = Denial(401, "unauthorized", "Say who you are.", ((b"WWW-Authenticate", b"Basic"),))
POST = b"POST / HTTP/1.1\r\nHost: app.relay.test\r\nContent-Length: 28\r\n\r\n"
SMUGGLED = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = get("/", "app.relay.test", "Connection: Upgrade", "Upgrade: websocket")


def a_world(guard: Any, **limits: Any) -> World:
    """A world whose tunnel has this guard."""
    world = World(**limits)
    world.app.guard = guard
    return world


def only(visitor: Pipe) -> Told:
    (answer,) = answers(visitor.taken)
    return answer


def test_who_is_let_in_sees_no_difference() -> None:
    """Neither does the service."""
    plain, guarded = World(), a_world(Decided())
    request = get("/a?b", "app.relay.test", "Authorization: Basic x")
    assert plain.ask(request, OK) == guarded.ask(request, OK)
    assert guarded.ingress.site.pools[guarded.app].active == 0


def test_the_guard_sees_what_is_asked_and_by_whom() -> None:
    """On the tunnel's own host, and by its path on the relay's."""
    guard = Decided()
    world = a_world(guard)
    world.visitor(get("/a/b?c=d", "app.relay.test", "X-Api-Key: 1"))
    world.visitor(get("/app/a", "relay.test"))
    own, by_path = guard.asked
    assert (own.method, own.target, own.path, own.prefix) == (b"GET", b"/a/b?c=d", b"/a/b", b"")
    assert (own.host, own.scheme, own.values(b"x-api-key")) == (b"app.relay.test", "http", [b"1"])
    assert (by_path.target, by_path.prefix) == (b"/a", b"/app")
    assert guard.visitors[0].host == "192.0.2.7"


def test_a_refusal_reaches_nobody_else_and_keeps_the_connection() -> None:
    """The next request on it is judged anew."""
    guard = Decided(NO)
    world = a_world(guard)
    visitor = world.visitor(get())
    answer = only(visitor)
    assert (answer.status, answer.word, answer.headers["www-authenticate"]) == (401, "unauthorized", "Basic")
    assert world.app.visitors == []
    guard.verdict = None
    visitor.send(get())
    world.far.send(OK)
    assert [answer.status for answer in answers(visitor.taken)] == [401, 200]


def test_what_a_rule_says_itself_is_sent_as_it_is() -> None:
    """A whole page, or a way to elsewhere."""
    world = a_world(Decided(Answer(302, ((b"Location", b"/.egtunnel/x"),), b"there")))
    answer = only(world.visitor(get()))
    assert (answer.status, answer.headers["location"], answer.body) == (302, "/.egtunnel/x", b"there")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("rest", [SMUGGLED, b""])
def test_a_refusal_of_a_request_whose_body_is_unread_ends_the_connection(rest: bytes) -> None:
    """What is left of it is nobody's next request."""
    world = a_world(Decided(NO))
    visitor = world.visitor(POST + rest)
    visitor.send(SMUGGLED if not rest else b"")
    answer = only(visitor)
    assert (answer.status, answer.headers["connection"]) == (401, "close")
    assert visitor.write_ended
    assert world.app.visitors == []


@pytest.mark.parametrize(
    ("error", "status"), [(Denied(), 403), (ZeroDivisionError(), 503), (UpstreamBroke(), 503), (RulesChanged(), 403)]
)
def test_an_error_of_a_rule_lets_nobody_in(error: Exception, status: int) -> None:
    """Whether it is raised or comes later; a defect least of all."""
    world = a_world(Decided(error))
    assert only(world.visitor(get())).status == status
    guard = world.app.guard = Deciding()
    visitor = world.visitor(get())
    guard.deciding[0].errback(Failure(error))
    assert only(visitor).status == status
    assert world.app.visitors == []


def test_a_header_that_was_for_the_rule_is_not_passed_on() -> None:
    """However it is written."""
    world = a_world(Decided(withholds=b"authorization"))
    seen, _ = world.ask(get("/", "app.relay.test", "AUTHORIZATION: Basic x", "Accept: a"), OK)
    assert b"basic" not in seen.lower()
    assert b"Accept: a\r\n" in seen


def test_a_request_waits_for_a_decision_and_its_body_with_it() -> None:
    """Nothing is read meanwhile; then all goes on in order."""
    guard = Deciding()
    world = a_world(guard)
    visitor = world.visitor(POST + SMUGGLED[:10])
    assert not visitor.reading
    visitor.send(SMUGGLED[10:])
    assert (visitor.take(), world.app.visitors) == (b"", [])
    guard.deciding[0].callback(None)
    assert visitor.reading
    assert world.far.taken.endswith(SMUGGLED)
    world.far.send(OK)
    assert only(visitor).status == 200
    visitor.send(get())
    guard.deciding[1].callback(None)
    assert world.app.dials == 1


def test_the_connection_that_was_kept_takes_a_body_that_waited() -> None:
    """Reading goes on there, too."""
    guard = Deciding()
    world = a_world(guard)
    visitor = world.visitor(get())
    guard.deciding[0].callback(None)
    world.far.send(OK)
    visitor.send(POST + SMUGGLED[:10])
    guard.deciding[1].callback(None)
    assert visitor.reading
    visitor.send(SMUGGLED[10:])
    assert (world.app.dials, world.far.taken.endswith(SMUGGLED)) == (1, True)


def test_a_later_refusal() -> None:
    """As one at once."""
    guard = Deciding()
    world = a_world(guard)
    visitor = world.visitor(POST)
    guard.deciding[0].callback(NO)
    assert only(visitor).status == 401
    assert world.app.visitors == []
    world.pass_time(20)
    assert only(visitor).status == 401


def test_a_visitor_that_leaves_is_not_judged_any_more() -> None:
    """Its place in the tunnel is free again."""
    guard = Deciding()
    world = a_world(guard, exchanges=1)
    visitor = world.visitor(get())
    visitor.break_off()
    assert guard.cancelled == 1
    assert world.app.visitors == []
    world.app.guard = None
    world.ask(get(), OK)


def test_a_rule_that_does_not_decide_is_not_waited_for() -> None:
    """503; and what it says afterwards is not heard."""
    guard = Deciding()
    world = a_world(guard, judge=3.0)
    visitor = world.visitor(get())
    world.pass_time(4)
    answer = only(visitor)
    assert (answer.status, answer.word, guard.cancelled) == (503, "access-unavailable", 1)
    assert world.app.visitors == []


def test_an_upgrade_is_judged_like_every_request() -> None:
    """Refused: the connection speaks HTTP on. Let in: it becomes the service's."""
    guard = Decided(NO)
    world = a_world(guard)
    visitor = world.visitor(UPGRADE)
    assert only(visitor).status == 401
    guard.verdict = None
    visitor.take()
    visitor.send(UPGRADE)
    world.far.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
    assert visitor.taken.startswith(b"HTTP/1.1 101 ")
    assert visitor.taken.endswith(b"hello")


def test_an_upgrade_that_waits_for_a_decision() -> None:
    """What the visitor says early is the service's then."""
    guard = Deciding()
    world = a_world(guard)
    visitor = world.visitor(UPGRADE + b"early")
    guard.deciding[0].callback(None)
    world.far.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert world.far.taken.endswith(b"early")
    assert visitor.taken.startswith(b"HTTP/1.1 101 ")


def test_rules_that_change_while_somebody_waits_are_asked_again() -> None:
    """While the old ones decide, or while a client is dialed."""
    world = a_world(Deciding())
    first: Any = world.app.guard
    visitor = world.visitor(get())
    world.app.guard = Decided(NO)
    first.deciding[0].callback(None)
    assert only(visitor).status == 401
    world.app.guard, world.app.failure = None, RulesChanged()
    world.app.held = True
    world.app.failure = None
    other = world.visitor(get())
    world.app.guard = Decided(NO)
    world.app.waiting.errback(Failure(RulesChanged()))
    assert only(other).status == 401
    assert world.app.upstreams == []
    assert world.ingress.site.pools == {}


def test_requests_of_one_connection_keep_their_order() -> None:
    """The second is not judged before the first is answered."""
    guard = Deciding()
    world = a_world(guard)
    visitor = world.visitor(get("/1") + get("/2"))
    assert len(guard.deciding) == 1
    guard.deciding[0].callback(NO)
    guard.deciding[1].callback(None)
    world.far.send(OK)
    assert [answer.status for answer in answers(visitor.taken)] == [401, 200]
    assert b"GET /2 " in world.far.taken
