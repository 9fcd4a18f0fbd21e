"""A client that comes back within the time goes on with its session: names, channels, and all that was under way."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import Factory

from egtunnel.errors import LinkLost
from egtunnel.interfaces import Visitor
from egtunnel.session.messages import Hello
from tests.pipes import Recorder
from tests.relay.house import TOKEN, House, MemoryClient


def a_house() -> tuple[House, MemoryClient]:
    """A relay whose sessions can go on, and a client with the name ``app``."""
    house = House(secret="a secret")
    client = house.client()
    client.claim(name="app")
    return house, client


def visit(house: House) -> Recorder:
    """A visitor of ``app``; its protocol."""
    protocol = Recorder()
    endpoint = house.tunnel("app").dialer(Visitor("http", "192.0.2.1", 1))
    endpoint.connect(Factory.forProtocol(lambda: protocol))
    house.carry()
    return protocol


def test_it_keeps_its_session_its_names_and_its_channels() -> None:
    """Nothing is claimed again, and a visitor notices nothing."""
    house, client = a_house()
    visitor = visit(house)
    far = client.accept()
    client.cut()
    visitor.transport.write(b"said meanwhile")  # type: ignore[union-attr]
    assert client.resume().resumed is not None
    assert len(house.door.sessions) == 1
    assert far.received == b"said meanwhile"
    assert visitor.lost is None
    assert [server.session for server in house.tunnel("app").servers] == list(house.door.sessions.values())


def test_who_comes_while_it_is_away_waits_for_it() -> None:
    """In the waiting room, as for any client that is away; and comes in when it is back."""
    house, client = a_house()
    client.cut()
    visit(house)
    assert house.room.visitors == 1
    client.resume()
    assert house.room.visitors == 0
    assert len(client.opened) == 1


def test_a_second_link_of_the_same_session_takes_over_from_the_first() -> None:
    """It is never on two at once."""
    house, client = a_house()
    first = client.near
    client.resume()
    assert first.aborted
    assert next(iter(house.door.sessions.values())).online


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "another"},
        {"secret": ""},
        {"secret": "\udcff"},
        {"session": "another"},
        {"position": 1},
        {"position": 1 << 40},
    ],
)
def test_without_the_right_word_a_new_session_is_made(wrong: dict[str, Any]) -> None:
    """And the old one ends: the token and the identity are right, so the client has lost its memory."""
    house, client = a_house()
    visitor = visit(house)
    client.accept()
    old = next(iter(house.door.sessions.values()))
    welcome = client.resume(**wrong)
    assert welcome.resumed is None
    assert welcome.session_id != old.id
    assert old.closed is not None
    assert isinstance(visitor.error, LinkLost)


def test_another_identity_cannot_go_on_with_it() -> None:
    """Even if it knows the secret."""
    house, client = a_house()
    old = next(iter(house.door.sessions.values()))
    assert client.resume(client_id="two").resumed is None
    assert old.closed is None


def test_after_the_time_there_is_nothing_to_go_on_with() -> None:
    """The session ended by itself; the name still waits for its owner."""
    house, client = a_house()
    client.cut()
    house.clock.advance(61)
    assert house.door.sessions == {}
    assert client.session is not None and client.session.closed is not None
    assert not house.tunnel("app").servers


@pytest.mark.parametrize(
    "members",
    [
        {"session": "s1", "secret": "x"},
        {"session": "s1", "secret": "x", "position": -1},
        {"session": "s1", "secret": "x", "position": True},
        {"session": "s1", "secret": 1, "position": 0},
        {"session": None, "secret": "x", "position": 0},
        {"session": "s1", "secret": "x", "position": 1 << 63},
    ],
)
def test_a_resume_that_is_none_breaks_the_handshake(members: dict[str, Any]) -> None:
    """Code 6, like any other hello that is not what the protocol asks for."""
    house, _ = a_house()
    client = house.connect()
    client.say(Hello(token=TOKEN, client_id="three", resume=members))
    assert client.near.closed is not None
    assert client.near.closed[0] == 6


def test_the_secret_is_shown_by_nothing_that_is_logged() -> None:
    """Neither the hello nor the welcome nor what is read of them."""
    _, client = a_house()
    session = client.session
    assert session is not None
    hello = Hello(token=TOKEN, client_id="one", resume={"session": "s1", "secret": session.secret, "position": 0})
    assert session.secret not in repr(hello)
    assert session.secret not in repr(client.resume())
