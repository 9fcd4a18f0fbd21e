"""Who may share a name, how, and what is left of it when they go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from egtunnel.relay.health import ServerLimits
from egtunnel.relay.reservations import Owner, Place, Reservations
from egtunnel.relay.tokens import Tokens
from egtunnel.session.messages import Hello, Release
from tests.relay.house import House, HouseLimits, MemoryClient

APP = Place("name", "app")


def shared(house: House, *ids: str, **wish: Any) -> list[MemoryClient]:
    """Clients that share ``app``."""
    clients = [house.client(each) for each in ids]
    for client in clients:
        client.claim(1, **{"name": "app", "share": True, **wish})
    return clients


def test_clients_of_one_token_share_a_name() -> None:
    """Each is told the same address."""
    house = House()
    one, two = house.client("one"), house.client("two")
    assert one.claim(1, name="app", share=True) == two.claim(1, name="app", share=True)
    assert [server.client for server in house.tunnel("app").servers] == ["one", "two"]


@pytest.mark.parametrize(
    ("kind", "wish"),
    [("http", {"name": "app"}), ("http", {"host": "dev.example.org"}), ("tcp", {"port": 20_005})],
    ids=["name", "host", "port"],
)
def test_both_have_to_want_it(kind: str, wish: dict[str, Any]) -> None:
    """Who came first without sharing has it alone; what is shared is not given to one that does not share."""
    taken = {"name": "name-taken", "host": "host-taken", "port": "port-taken"}[next(iter(wish))]
    house = House()
    alone = house.client("alone")
    alone.claim(1, kind, **wish)
    assert house.client("two").refused(1, kind, share=True, **wish).code == taken
    alone.claim(1, kind, share=True, **wish)
    house.client("two").claim(1, kind, share=True, **wish)
    assert house.client("three").refused(1, kind, **wish).code == taken


def test_another_token_has_no_part_in_it() -> None:
    """Nor when everybody is away."""
    house = House()
    (one,) = shared(house, "one")
    house.door.tokens = Tokens(["another-token-altogether"])
    stranger = house.connect()
    stranger.say(Hello(token="another-token-altogether", client_id="two"))
    stranger.enter()
    assert stranger.refused(name="app", share=True).code == "name-taken"
    one.cut()
    assert stranger.refused(name="app", share=True).code == "name-taken"
    assert stranger.refused(name="app").code == "name-taken"


@pytest.mark.parametrize(
    "difference",
    [
        {"sticky": "address"},
        {"host_header": "localhost"},
        {"protocol": "h2c"},
        {"path_prefix": "/v2"},
        {"request_headers": [["set", "X-Key", "1"]]},
        {"response_headers": [["remove", "Server", ""]]},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_all_have_to_agree_on_what_makes_the_tunnel(difference: dict[str, Any]) -> None:
    """Refused for good, and nobody else is disturbed; who has it alone again may change it."""
    house = House()
    (one,) = shared(house, "one")
    two = house.client("two")
    answer = two.refused(1, name="app", share=True, **difference)
    assert (answer.code, answer.retry) == ("share-mismatch", False)
    assert len(house.tunnel("app").servers) == 1
    one.claim(1, name="app", share=True, **difference)
    two.claim(1, name="app", share=True, **difference)


def test_a_shared_tunnel_names_its_place_and_a_known_way_of_being_sticky() -> None:
    """Each refusal has its word."""
    client = House().client()
    assert client.refused(1, share=True).code == "bad-name"
    assert client.refused(1, "tcp", share=True).code == "bad-name"
    assert client.refused(1, name="app", share=True, sticky="luck").code == "bad-policy"
    assert client.refused(1, name="app", sticky="cookie").code == "bad-policy"
    assert client.refused(1, "tcp", port=20_000, share=True, sticky="cookie").code == "bad-policy"
    assert client.claim(1, "tcp", port=20_000, share=True, sticky="address").name == "20000"


def test_one_client_may_share_a_name_with_itself() -> None:
    """Two services behind one client."""
    house = House()
    client = house.client()
    client.claim(1, name="app", share=True)
    client.claim(2, name="app", share=True)
    assert len(house.tunnel("app").servers) == 2
    client.tell(Release(1))
    assert [server.number for server in house.tunnel("app").servers] == [2]
    client.cut()
    assert len(house.tunnel("app").servers) == 0


def test_a_name_is_shared_by_so_many() -> None:
    """One too many may come back when another has left."""
    house = House(HouseLimits(servers=ServerLimits(servers=2)))
    one, _ = shared(house, "one", "two")
    three = house.client("three")
    answer = three.refused(1, name="app", share=True)
    assert (answer.code, answer.retry, answer.after) == ("too-many-servers", True, 30.0)
    one.tell(Release(1))
    three.claim(1, name="app", share=True)


def test_the_last_one_to_leave_leaves_the_name_standing() -> None:
    """Visitors wait for whoever comes next, however it left; for another name of its own it may ask."""
    house = House()
    one, two = shared(house, "one", "two")
    one.tell(Release(1))
    two.cut()
    assert house.table.by_name("app") is not None
    (heir,) = shared(house, "two")
    heir.tell(Release(1))
    assert house.table.by_name("app") is not None
    assert len(house.tunnel("app").servers) == 0
    assert house.reservations.owner_of(APP) == Owner(house.door.tokens.check("the-token-of-this-relay") or "", "")


def test_a_place_stays_reserved_for_sharing() -> None:
    """For any client of the token that shares; alone only for the one that left last."""
    house = House()
    one, two = shared(house, "one", "two")
    one.tell(Release(1))
    two.tell(Release(1))
    assert one.refused(2, name="app").code == "name-taken"
    (three,) = shared(house, "three")
    three.tell(Release(1))
    three.claim(1, name="app")
    assert one.refused(1, name="app", share=True).code == "name-taken"


def test_a_client_that_comes_back_serves_once() -> None:
    """Its ghost leaves, the others stay."""
    house = House()
    shared(house, "one", "two")
    shared(house, "one")
    assert [server.client for server in house.tunnel("app").servers] == ["two", "one"]


def test_a_restarted_relay_knows_what_was_shared() -> None:
    """Any of the clients gets it back; files of before have no ``last`` and are read."""
    house = House()
    one, two = shared(house, "one", "two")
    for client in (one, two):
        client.cut()
    items = json.loads(json.dumps(house.reservations.to_json(0.0, 1e9)))
    reservations = Reservations()
    reservations.load(items, 0.0, 1e9)
    again = House(reservations=reservations)
    again.table.restore()
    assert again.table.by_name("app") is not None
    assert again.client("one").refused(name="app").code == "name-taken"
    shared(again, "three")
    for item in items:
        del item["last"]
    reservations = Reservations()
    reservations.load(items, 0.0, 1e9)
    shared(House(reservations=reservations), "four")
