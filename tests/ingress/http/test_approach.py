"""A request whose way is asked for first, and what ends with the leash on which it came in; over HTTP/1."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from egtunnel.errors import Revoked
from egtunnel.guard import Asked, Denial, IGuard, IWay, Leash
from egtunnel.ingress.http.ingress import SiteSettings
from egtunnel.interfaces import Visitor
from tests.guards import Decided
from tests.ingress.http.world import World, answers, get

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
LINK = "/share/secret/a?b"
GONE = Denial(410, "share-over", "It is over.")


@implementer(IWay, IGuard)
class Way:
    """Leads to ``app``, at once or when the test says so."""

    def __init__(self, house: House, deciding: Deferred[Any] | None) -> None:
        self.tunnel: Any = None
        self.target, self.prefix, self.share = b"/a?b", b"/share/secret", "s1"
        self._house = house
        self._deciding = deciding
        self.asked: Any = None

    def judge(self, asked: Asked, visitor: Visitor) -> Any:
        self.asked = asked
        if self._house.reads:
            return asked.read_body(100).addCallback(lambda body: Denial(403, "read", body.decode()))
        asked.withhold(b"x-secret")
        asked.leash = self._house.leash
        decided = succeed(self._house.verdict) if self._deciding is None else self._deciding
        return decided.addCallback(self._lead)

    def _lead(self, verdict: Any) -> Any:
        self.tunnel = self._house.world.app
        return verdict

    def admits(self, visitor: Visitor) -> bool:
        return False


class House:
    """A world with shares."""

    def __init__(self, later: bool = False, **limits: Any) -> None:
        self.leash = Leash()
        self.verdict: Denial | None = None
        self.ways: list[Way] = []
        self.deciding: list[Deferred[Any]] = []
        self.cancelled = 0
        self.reads = False
        self._later = later
        self.world = World(settings=SiteSettings(shares=self._way), **limits)

    def _way(self) -> Any:
        if self._later:
            self.deciding.append(Deferred(self._cancel))
        self.ways.append(Way(self, self.deciding[-1] if self._later else None))
        return self.ways[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1


def test_a_request_goes_where_its_way_leads() -> None:
    """With what was taken off its path, without what was for the way alone; the tunnel's rules know of the share."""
    house = House()
    guard = house.world.app.guard = Decided()
    seen, told = house.world.ask(get(LINK, "relay.test", "X-Secret: 1", "X-Other: 2"), OK)
    assert seen.startswith(b"GET /a?b HTTP/1.1\r\n") and b"X-Forwarded-Prefix: /share/secret\r\n" in seen
    assert b"X-Secret" not in seen and b"X-Other: 2" in seen
    assert answers(told)[0].body == b"ok"
    assert [asked.share for asked in guard.asked] == ["s1"]
    assert house.ways[0].asked.target == LINK.encode()
    assert not house.leash and house.world.ingress.site.pools[house.world.app].active == 0


def test_without_shares_the_path_is_nobodys() -> None:
    """As any other on the relay's own host."""
    world = World()
    assert answers(world.visitor(get(LINK, "relay.test")).taken)[0].status == 404


def test_who_is_refused_reaches_nobody() -> None:
    """The connection is kept, and the next request is asked about anew; so says a tunnel's own rule as well."""
    house = House()
    house.verdict = GONE
    visitor = house.world.visitor(get(LINK, "relay.test"))
    house.verdict = None
    house.world.app.guard = Decided(Denial(403, "private-tunnel", "No."))
    visitor.send(get(LINK, "relay.test"))
    assert [answer.word for answer in answers(visitor.taken)] == ["share-over", "private-tunnel"]
    assert house.world.app.dials == 0 and len(house.ways) == 2


def test_a_body_waits_for_the_way_and_then_goes_on_in_order() -> None:
    """Nothing is read meanwhile."""
    house = House(later=True)
    head = f"POST {LINK} HTTP/1.1\r\nHost: relay.test\r\nContent-Length: 10\r\n\r\n".encode()
    visitor = house.world.visitor(head + b"01234")
    assert not visitor.reading and house.world.app.dials == 0
    house.deciding[0].callback(None)
    assert visitor.reading
    visitor.send(b"56789")
    assert house.world.far.taken.endswith(b"\r\n\r\n0123456789")
    house.world.far.send(OK)
    assert answers(visitor.taken)[0].status == 200


def test_a_whole_request_that_waited_is_complete_for_the_service() -> None:
    """Its end is told, too."""
    house = House(later=True)
    chunked = f"POST {LINK} HTTP/1.1\r\nHost: relay.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    house.world.visitor(chunked.encode())
    house.deciding[0].callback(None)
    assert house.world.far.taken.endswith(b"3\r\nabc\r\n0\r\n\r\n")


def test_a_visitor_who_goes_while_the_way_is_looked_for() -> None:
    """Nobody asks on."""
    house = House(later=True)
    visitor = house.world.visitor(get(LINK, "relay.test"))
    visitor.abortConnection()
    assert house.cancelled == 1 and house.world.app.dials == 0


def test_a_way_that_is_not_found_in_time() -> None:
    """503, and the look-up is given up."""
    house = House(later=True, judge=5.0)
    visitor = house.world.visitor(get(LINK, "relay.test"))
    house.world.pass_time(6)
    assert answers(visitor.taken)[0].status == 503 and house.cancelled == 1


def test_a_way_may_read_the_body() -> None:
    """Of a form, say."""
    house = House()
    house.reads = True
    head = f"POST {LINK} HTTP/1.1\r\nHost: relay.test\r\nContent-Length: 6\r\n\r\n".encode()
    visitor = house.world.visitor(head)
    visitor.send(b"a=b")
    visitor.send(b"&c=")
    assert b"a=b&amp;c=" in visitor.taken


def test_a_download_ends_with_its_leash() -> None:
    """Visibly: neither the visitor nor the service takes it for complete. What is over already is left alone."""
    house = House()
    visitor = house.world.visitor(get(LINK, "relay.test"))
    house.world.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    assert len(house.leash) == 1
    house.leash.cut(Revoked("over"))
    assert visitor.lost and house.world.far.lost
    assert not house.leash
    house.world.ask(get(LINK, "relay.test"), OK)
    house.leash.cut(Revoked("over"))


@pytest.mark.parametrize("by_link", [True, False])
def test_a_websocket_ends_with_its_leash(by_link: bool) -> None:
    """Both ends; also one that came by a rule of the tunnel itself."""
    house = House()
    if not by_link:

        class Leashing(Decided):
            def judge(self, asked: Asked, visitor: Visitor) -> Any:
                asked.leash = house.leash
                return super().judge(asked, visitor)

        house.world.app.guard = Leashing()
    target, host = (LINK, "relay.test") if by_link else ("/", "app.relay.test")
    visitor = house.world.visitor(get(target, host, "Connection: Upgrade", "Upgrade: websocket"))
    house.world.far.send(SWITCH)
    far = house.world.far
    visitor.send(b"ping")
    assert far.taken.endswith(b"ping") and len(house.leash) == 1
    house.leash.cut(Revoked("over"))
    assert visitor.lost and far.lost


def test_a_websocket_that_ends_by_itself_is_let_go() -> None:
    """Nothing is held for ever."""
    house = House()
    visitor = house.world.visitor(get(LINK, "relay.test", "Connection: Upgrade", "Upgrade: websocket"))
    house.world.far.send(SWITCH)
    assert len(house.leash) == 1
    visitor.abortConnection()
    assert not house.leash
