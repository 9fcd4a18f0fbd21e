"""Who owns which name: pure, moments are arguments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.relay.claims import PORTS
from egtunnel.relay.reservations import Owner, Place, ReservationLimits, Reservations
from egtunnel.relay.tunnels import KINDS

ANN, BOB = Owner("t", "ann"), Owner("t", "bob")
APP, PORT = Place("name", "app"), Place("port", "20000")


def test_a_place_is_its_owners_until_it_was_idle_for_too_long() -> None:
    """Away for less than ``keep`` changes nothing; in use it never ends."""
    table = Reservations(ReservationLimits(keep=100))
    table.take(APP, ANN)
    assert table.expire(1e9) == []
    table.leave(APP, 1000.0, bound=True)
    assert table.expire(1099.0) == []
    assert table.owner_of(APP) == ANN
    assert table.expire(1100.0) == [APP]
    assert table.owner_of(APP) is None


def test_coming_back_stops_the_time() -> None:
    """A place in use again does not expire from the earlier absence."""
    table = Reservations(ReservationLimits(keep=100))
    table.take(APP, ANN)
    table.leave(APP, 0.0, bound=True)
    table.take(APP, ANN)
    assert table.expire(1000.0) == []


def test_made_places_are_found_by_owner_kind_and_target() -> None:
    """What the relay chose for a target is remembered; what the client named is not a choice of ours."""
    table = Reservations()
    table.take(Place("name", "a"), ANN, "k")
    table.take(Place("name", "b"), ANN, "k")
    table.take(Place("name", "c"), ANN)
    table.take(Place("name", "d"), BOB, "k")
    table.take(PORT, ANN, "k")
    assert table.made_for(ANN, "name", "k") == ["a", "b"]
    assert table.made_for(ANN, "port", "k") == ["20000"]
    assert table.made_for(ANN, "name", "other") == []


def test_a_made_place_stays_known_when_it_is_asked_for_by_name() -> None:
    """Asking once for the made name itself does not lose it as the target's."""
    table = Reservations()
    table.take(APP, ANN, "k")
    table.take(APP, ANN)
    assert table.made_for(ANN, "name", "k") == ["app"]


def test_beyond_the_limit_the_longest_idle_place_goes() -> None:
    """Places in use never go; among the idle ones the oldest."""
    table = Reservations(ReservationLimits(places=3))
    for number, name in enumerate("abc"):
        table.take(Place("name", name), ANN)
        if name != "a":
            table.leave(Place("name", name), 10.0 - number, bound=False)
    assert table.take(Place("name", "d"), BOB) == [Place("name", "c")]
    assert table.take(Place("name", "e"), BOB) == [Place("name", "b")]
    assert table.take(Place("name", "f"), BOB) == []
    assert table.owner_of(Place("name", "a")) == ANN


def test_one_owner_cannot_push_others_out() -> None:
    """Who claims and releases without end loses its own oldest places."""
    table = Reservations(ReservationLimits(owned=2))
    table.take(APP, BOB)
    table.leave(APP, 0.0, bound=False)
    for number in range(10):
        place = Place("name", f"n{number}")
        table.take(place, ANN)
        table.leave(place, float(number + 1), bound=False)
    assert [found.place.value for found in table] == ["app", "n8", "n9"]


def test_what_is_written_down_comes_back_with_its_idle_time() -> None:
    """The clock of the next process starts anywhere: only the time of day goes on."""
    table = Reservations(ReservationLimits(keep=100))
    table.take(APP, ANN, "k")
    table.take(PORT, BOB)
    table.leave(PORT, 500.0, bound=False)
    kept = json.loads(json.dumps(table.to_json(540.0, 1_700_000_000.0)))

    later = Reservations(ReservationLimits(keep=100))
    later.load(kept, 7.0, 1_700_000_010.0)
    assert [(found.place, found.owner, found.key, found.bound) for found in later] == [
        (APP, ANN, "k", True),
        (PORT, BOB, "", False),
    ]
    assert later.expire(7.0 + 49) == []
    assert later.expire(7.0 + 50) == [PORT]  # idle for 40 s before, 10 s meanwhile
    assert later.expire(7.0 + 99) == []
    assert later.expire(7.0 + 100) == [APP]  # in use when it was written: idle since it was read


@pytest.mark.parametrize("kind", sorted({"name", "host", *PORTS.values(), *KINDS}))
def test_every_kind_of_place_is_written_down(kind: str) -> None:
    """Whatever can be claimed, or one of them would cost all others at a restart."""
    table, later = Reservations(), Reservations()
    table.take(Place(kind, "20001"), ANN)
    later.load(json.loads(json.dumps(table.to_json(0.0, 1000.0))), 0.0, 1000.0)
    assert later.owner_of(Place(kind, "20001")) == ANN


def test_a_clock_set_back_does_not_prolong() -> None:
    """A time of day before the file's means: just now."""
    later = Reservations(ReservationLimits(keep=100))
    item = {"kind": "name", "value": "app", "token": "t", "client": "c", "key": "", "bound": True, "idle_since": 2000}
    later.load([item], 0.0, 1000.0)
    assert later.expire(99.0) == []
    assert later.expire(100.0) == [APP]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"kind": "name"},
        {"kind": "moon", "value": "", "token": "", "client": "", "key": "", "bound": True, "idle_since": None},
        {"kind": "name", "value": 1, "token": "", "client": "", "key": "", "bound": True, "idle_since": None},
        {"kind": "name", "value": "", "token": "", "client": "", "key": "", "bound": True, "idle_since": "x"},
    ],
)
def test_anything_else_is_refused(item: dict[str, Any]) -> None:
    """A file that we did not write is told from one that we did."""
    with pytest.raises((ValueError, TypeError, KeyError)):
        Reservations().load([item], 0.0, 0.0)


PLACES = [Place("name", letter) for letter in "abcde"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "leave", "forget", "expire"]), st.sampled_from(PLACES), st.sampled_from([ANN, BOB])
    )
)


@given(STEPS)
def test_every_place_has_one_owner_and_every_owner_finds_it(steps: list[tuple[str, Place, Owner]]) -> None:
    """Whatever the order of events, both views of the table agree and the limits hold."""
    table = Reservations(ReservationLimits(keep=2, places=4, owned=3))
    in_use: set[Place] = set()
    for now, (step, place, owner) in enumerate(steps):
        if step == "take" and table.owner_of(place) in (None, owner):
            assert not set(table.take(place, owner, "k")) & (in_use | {place})
            in_use.add(place)
        elif step == "leave":
            table.leave(place, float(now), bound=False)
            in_use.discard(place)
        elif step == "forget":
            table.forget(place)
            in_use.discard(place)
        elif step == "expire":
            assert not set(table.expire(float(now))) & in_use
        found = {reservation.place: reservation.owner for reservation in table}
        by_owner = {Place("name", value): who for who in (ANN, BOB) for value in table.made_for(who, "name", "k")}
        assert found == by_owner
        assert in_use <= found.keys()
