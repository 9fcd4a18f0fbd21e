"""From the rules of a claim to the guard of a tunnel, and visitors who wait while the rules change."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from egtunnel.errors import Refused
from egtunnel.guard import AccessError, Asked, Denial, RulesChanged
from egtunnel.interfaces import Visitor
from egtunnel.relay.guards import LONGEST, Guards, Post, Sentry
from egtunnel.relay.reservations import Place
from tests.guards import Decided, Deciding
from tests.pipes import Recorder
from tests.relay.house import House

NO = Denial(403, "denied", "No.")
WEB = Visitor("http", "192.0.2.7", 4711, "app")
TCP = Visitor("tcp", "192.0.2.7", 4711, "20000")
ASKED = Asked(b"GET", b"/")


def says(value: Any, post: Post) -> Decided:
    """A rule that says no to everybody if its value is true."""
    if not isinstance(value, bool):
        raise AccessError("no: true or false")
    return Decided(NO if value else None)


GUARDS = Guards({"no": says, "more": says})


def house() -> House:
    """A relay that knows these rules."""
    found = House()
    found.table.guards = GUARDS
    return found


@pytest.mark.parametrize(
    "access", [{"unknown": True}, {"no": False, "unknown": {}}, {"no": 1}, {"no": None}, {"no": "x" * LONGEST}]
)
def test_an_unknown_or_malformed_rule_refuses_the_claim(access: dict[str, Any]) -> None:
    """It is never ignored, and the name that stood there is given back."""
    client = house().client()
    assert client.claim(1, name="app", access={"no": True}).guarded
    assert client.refused(1, name="app", access=access).code == "bad-access"
    assert client.house.table.at(Place("name", "app")) is None
    with pytest.raises(Refused):
        Guards().check("http", access)


def test_rules_nested_deeply_are_refused_as_others_are() -> None:
    """They may be read and not be written."""
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(Refused):
        GUARDS.check("http", {"no": deep})


def test_no_rules_no_guard() -> None:
    """Nothing to ask, and nothing to say of it."""
    client = house().client()
    assert not client.claim(1, name="app").guarded
    assert client.house.tunnel("app").guard is None
    assert GUARDS.check("http", {}) == ""
    assert GUARDS.make("", Post("http", "app")) is None


def test_a_claim_anew_changes_the_rules_of_what_stands() -> None:
    """Of names and of ports, for tunnels that somebody has in hand, too."""
    client = house().client()
    wishes: tuple[tuple[str, Place, dict[str, Any]], ...] = (
        ("http", Place("name", "app"), {"name": "app"}),
        ("tcp", Place("port", "20000"), {"port": 20000}),
    )
    for kind, place, wish in wishes:
        client.claim(1, kind, **wish)
        held = client.house.tunnel(place.value, place.kind)
        assert held.guard is None
        assert client.claim(1, kind, access={"no": True}, **wish).guarded
        guard: Any = held.guard
        assert not guard.admits(TCP)
        client.claim(1, kind, access={"no": True}, host_header="x" if kind == "http" else "", **wish)
        assert held.guard is guard
        client.claim(1, kind, access={"no": False}, **wish)
        assert held.guard.admits(TCP)
        assert not client.claim(1, kind, **wish).guarded
        assert held.guard is None
        client.refused(1, kind, access={"x": 1}, **wish)


def test_who_shares_a_name_has_the_same_rules() -> None:
    """Otherwise anybody who shares it could open it."""
    here = house()
    one, two = here.client("one"), here.client("two")
    one.claim(1, name="app", share=True, access={"no": True, "more": False})
    assert two.refused(1, name="app", share=True).code == "share-mismatch"
    two.claim(1, name="app", share=True, access={"more": False, "no": True})
    assert one.refused(1, name="app", share=True).code == "share-mismatch"


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize(("kind", "opens"), [("http", False), ("tcp", False), ("tcp", True)])
def test_who_waited_is_not_let_in_by_rules_of_before(share: bool, kind: str, opens: bool) -> None:
    """As after a restart of the relay, when nobody knows yet what the client will ask for."""
    here = house()
    client = here.client()
    wish: dict[str, Any] = {"name": "app"} if kind == "http" else {"port": 20000}
    place = Place("name", "app") if kind == "http" else Place("port", "20000")
    client.claim(1, kind, share=share, **wish)
    client.cut()
    here.clock.advance(60)
    waiting = _dial(here, place, WEB if kind == "http" else TCP)
    again = here.client()
    again.claim(1, kind, share=share, access={"no": not opens}, **wish)
    if opens:
        assert len(again.opened) == 1
    else:
        assert _failure(waiting).check(RulesChanged)
        assert again.opened == []


def test_who_waited_comes_in_by_rules_that_are_the_same() -> None:
    """Or by none."""
    for access in ({}, {"no": False}):
        here = house()
        here.client().claim(1, name="app", access=access)
        here.clients[0].cut()
        here.clock.advance(60)
        _dial(here, Place("name", "app"), WEB)
        again = here.client()
        again.claim(1, name="app", access=access)
        assert len(again.opened) == 1


def _dial(here: House, place: Place, visitor: Visitor) -> Deferred[Any]:
    tunnel = here.table.at(place)
    assert tunnel is not None
    dialing: Deferred[Any] = tunnel.dialer(visitor).connect(Factory.forProtocol(Recorder))
    assert not dialing.called
    return dialing


def _failure(waiting: Deferred[Any]) -> Any:
    found: list[Any] = []
    waiting.addErrback(found.append)
    return found[0]


def test_several_rules_are_asked_in_the_relays_order() -> None:
    """The first that has something to say is heard; later ones are not asked."""
    first, second, third = Deciding(), Decided(), Decided(NO)
    asked = {"a": first, "b": second, "c": third}
    guards = Guards({name: lambda value, post, rule=rule: rule for name, rule in asked.items()})  # type: ignore[misc]
    guard: Any = guards.make('{"c":1,"b":1,"a":1}', Post("http", "app"))
    verdicts: list[Any] = []
    for answer in (None, NO):
        guard.judge(ASKED, WEB).addCallback(verdicts.append)
        first.deciding.pop().callback(answer)
    assert verdicts == [NO, NO]
    assert (len(second.asked), len(third.asked)) == (1, 1)
    assert not guard.admits(TCP)
    third.verdict = None
    assert guard.admits(TCP)


def test_who_leaves_is_judged_by_no_later_rule() -> None:
    """Whichever of them is deciding."""
    first, second = Deciding(), Deciding()
    guards = Guards({"a": lambda value, post: first, "b": lambda value, post: second})
    guard: Any = guards.make('{"a":1,"b":1}', Post("http", "app"))
    verdict = guard.judge(ASKED, WEB).addErrback(lambda reason: None)
    first.deciding[0].callback(None)
    verdict.cancel()
    assert (first.cancelled, second.cancelled) == (0, 1)


def test_rules_that_cannot_be_made_close_the_tunnel() -> None:
    """As where a worker is told of what it does not know."""
    sentry = Sentry(Guards(), Post("http", "app"))
    sentry.follow('{"new":true}')
    guard: Any = sentry.guard
    assert (guard.judge(ASKED, WEB).status, guard.admits(TCP)) == (403, False)
