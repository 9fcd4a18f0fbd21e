"""Several links of one client: sessions beside its own, over which the relay opens channels, too."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import Factory

from egtunnel.errors import LinkLost, Superseded
from egtunnel.interfaces import Visitor
from egtunnel.relay.admission import AdmissionLimits
from egtunnel.session.messages import Claim, Hello, Notice, RefusedMessage
from tests.pipes import Recorder
from tests.relay.house import TOKEN, House, HouseLimits, MemoryClient


def two_links(**limits: int) -> tuple[House, MemoryClient, MemoryClient]:
    """A client with the name ``app`` and two links."""
    house = House(HouseLimits(admission=AdmissionLimits(**limits)), secret="a secret")
    client = house.client()
    client.claim(name="app")
    return house, client, house.companion(client)


def visit(house: House) -> Recorder:
    """A visitor of ``app``; its protocol."""
    protocol = Recorder()
    endpoint = house.tunnel("app").dialer(Visitor("http", "192.0.2.1", 1))
    endpoint.connect(Factory.forProtocol(lambda: protocol))
    house.carry()
    return protocol


def test_channels_are_spread_over_the_links() -> None:
    """Each goes where the fewest are."""
    house, one, two = two_links()
    for _ in range(6):
        visit(house)
    assert (len(one.opened), len(two.opened)) == (3, 3)


def test_it_is_one_client() -> None:
    """With one place among the clients, and one memory budget."""
    house, _, two = two_links(clients=1)
    (session,) = house.door.sessions.values()
    assert len(session.companions) == 1
    assert two.session is not None


def test_a_link_that_is_away_gets_no_new_channels() -> None:
    """Those it has wait for its return; all new ones go over the other."""
    house, one, two = two_links()
    one.cut()
    for _ in range(3):
        visit(house)
    assert (len(one.opened), len(two.opened)) == (0, 3)
    assert house.room.visitors == 0


def test_a_companion_goes_on_like_any_session() -> None:
    """Over its next link, with its channels."""
    house, _, two = two_links()
    visitors = [visit(house), visit(house)]
    far = two.accept()
    two.cut()
    visitors[1].transport.write(b"said meanwhile")  # type: ignore[union-attr]
    assert two.resume().resumed is not None
    assert far.received == b"said meanwhile"
    assert [visitor.lost for visitor in visitors] == [None, None]


def test_who_waits_comes_in_with_whichever_link_returns_first() -> None:
    """With all links away visitors wait."""
    house, one, two = two_links()
    one.cut()
    two.cut()
    visit(house)
    assert house.room.visitors == 1
    two.resume()
    assert (house.room.visitors, len(two.opened)) == (0, 1)


def test_a_companion_that_is_over_takes_its_channels_along_and_nothing_else() -> None:
    """The client may join again."""
    house, one, two = two_links()
    visitors = [visit(house), visit(house)]
    two.accept()
    assert two.session is not None
    two.session.close(LinkLost("enough"))
    house.carry()
    two.cut()
    assert [visitor.lost is None for visitor in visitors] == [True, False]
    (session,) = house.door.sessions.values()
    assert session.companions == []
    assert house.companion(one).session is not None


def test_companions_end_with_the_session() -> None:
    """By whatever it ends."""
    house, _, two = two_links()
    house.client()
    assert two.near.closed is not None
    assert two.near.closed[0] == Superseded.code
    (session,) = house.door.sessions.values()
    assert session.companions == []


def test_a_companion_claims_nothing() -> None:
    """Names are the session's own."""
    house, one, two = two_links()
    assert not [answer for answer in two.tell(Claim(1, "http", name="other")) if not isinstance(answer, Notice)]
    server = house.tunnel("app").servers.first()
    assert server is not None
    assert server.session is next(iter(house.door.sessions.values()))
    assert one.claim(2, name="other").name == "other"


@pytest.mark.parametrize(
    "wrong", [{"secret": "another"}, {"secret": ""}, {"session": "another"}, {"client_id": "somebody-else"}]
)
def test_without_the_right_word_nothing_is_joined(wrong: dict[str, str]) -> None:
    """Refused, and the client may try again: its session may just have ended."""
    house, one, _ = two_links()
    answer = house.companion(one, **wrong).answer()
    assert isinstance(answer, RefusedMessage)
    assert (answer.code, answer.retry) == ("no-session", True)
    assert len(next(iter(house.door.sessions.values())).companions) == 1


def test_more_links_than_one_client_may_have() -> None:
    """Refused for good; those there are go on."""
    house, one, _ = two_links(links=2)
    answer = house.companion(one).answer()
    assert isinstance(answer, RefusedMessage)
    assert (answer.code, answer.retry) == ("too-many-links", False)
    visit(house)
    assert len(one.opened) == 1


@pytest.mark.parametrize(
    "members", [{"secret": "x"}, {"session": "s1"}, {"session": 1, "secret": "x"}, {"session": "s1", "secret": None}]
)
def test_a_join_that_is_none_breaks_the_handshake(members: dict[str, Any]) -> None:
    """Code 6."""
    house, _, _ = two_links()
    client = house.connect()
    client.say(Hello(token=TOKEN, client_id="one", join=members))
    assert client.near.closed is not None
    assert client.near.closed[0] == 6


def test_a_session_that_cannot_go_on_cannot_be_joined_either() -> None:
    """There is no secret to know it by."""
    house = House()
    client = house.client()
    assert isinstance(house.companion(client, secret="").answer(), RefusedMessage)
