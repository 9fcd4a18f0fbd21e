"""Tunnels that come, go and change while the client runs: what the relay is told, and what visitors meet meanwhile."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.client.offering import difference
from egtunnel.client.offers import Offer
from egtunnel.client.upstream_tls import TlsTrust
from egtunnel.errors import ConfigurationError
from egtunnel.session.messages import Claimed, RefusedMessage
from tests.client.offered import UNREACHABLE, Offered, offer

APP, SHOP, GARDEN = offer("8001", "app"), offer("8002", "shop"), offer("8003", "garden")
SSH = offer("22", kind="tcp", port=20_001)


def test_an_added_tunnel_is_claimed_under_a_new_number() -> None:
    """The others hear nothing of it."""
    talk = Offered(APP, SHOP)
    talk.change(APP, SHOP, GARDEN)
    talk.carry()
    assert talk.seen == [("claimed", "garden")]
    assert sorted(talk.standing()) == [1, 2, 3]
    talk.visit("garden")
    talk.carry()
    assert talk.reached() == {"8003": 1}


def test_a_removed_tunnel_is_given_back_and_its_channels_go_on() -> None:
    """Its name is unknown at once; a visitor who is connected stays so to the end."""
    talk = Offered(APP, SHOP)
    visitor = talk.visit("shop")
    talk.carry()
    talk.change(APP)
    talk.carry()
    assert talk.seen == [("released", "shop")]
    assert talk.house.table.by_name("shop") is None
    (channel,) = talk.services["8002"].reached
    channel.protocol.dataReceived(b"still here")
    talk.carry()
    assert (visitor.received, visitor.lost) == (b"still here", None)


def test_a_number_is_never_given_to_another_tunnel() -> None:
    """What the relay says late of a removed tunnel is about no other."""
    talk = Offered(APP, SHOP)
    talk.change(APP)
    talk.change(APP, GARDEN)
    talk.carry()
    assert sorted(talk.standing()) == [1, 3]
    talk.enrolment.message(Claimed(2, "http://shop.example.com:7070", "shop"))
    talk.enrolment.message(RefusedMessage("name-taken", "taken", tunnel=2))
    assert set(talk.offering.offers) == {1, 3}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (APP, attrs.evolve(APP, host_header="b.test")),
        (APP, offer("9001", "app")),
        (APP, offer("h2c://localhost:9001", "app")),
        (offer("1", host="a.example.org"), offer("2", host="a.example.org")),
        (SSH, offer("23", kind="tcp", port=20_001)),
        (offer("1"), offer("1", host_header="b.test")),
        (offer("1", kind="tcp"), offer("tcp:localhost:1", kind="tcp")),
    ],
)
def test_other_settings_interrupt_nothing(before: Offer, after: Offer) -> None:
    """The same number, the same place, which the relay never takes down; a visitor in between is served as before."""
    talk = Offered(before, SHOP)
    (tunnel,) = (found for number, found in talk.standing().items() if number == 1)
    talk.change(after, SHOP)
    during = talk.visit(tunnel.name, tunnel.place.kind)  # the relay has not read the new claim yet
    talk.carry()
    same = after.kind == before.kind and (
        after.name or after.host or after.port or after.target.key == before.target.key
    )
    assert (talk.seen == []) is bool(same)
    assert talk.reached() == {before.target.text: 1} and during.lost is None
    assert sorted(talk.standing()) == ([1, 2] if same else [2, 3])
    talk.visit(talk.standing()[1 if same else 3].name, tunnel.place.kind)
    talk.carry()
    assert sum(talk.reached().values()) == 2 and talk.reached()[after.target.text] >= 1


def test_a_second_change_before_the_answer_to_the_first() -> None:
    """Each answer is about what was asked at its time."""
    talk = Offered(APP)
    talk.change(offer("9001", "app"))
    talk.change(offer("9002", "app"))
    talk.enrolment.message(Claimed(1, "http://app.example.com:7070", "app"))
    served = talk.offering.served(1)
    assert served is not None and served.offer.target.text == "9001"
    talk.carry()
    served = talk.offering.served(1)
    assert served is not None and served.offer.target.text == "9002"


def test_a_refused_change_is_not_the_last_word_while_another_is_on_its_way() -> None:
    """The tunnel is dropped by the last refusal only."""
    talk = Offered(APP, SHOP)
    talk.change(attrs.evolve(APP, host_header="a b"), SHOP)
    talk.change(APP, SHOP)
    talk.carry()
    assert sorted(talk.standing()) == [1, 2] and talk.said == []
    talk.change(attrs.evolve(APP, host_header="a b"), SHOP)
    talk.carry()
    assert sorted(talk.standing()) == [2] and "going on without it" in talk.said[0]


def test_a_tunnel_that_was_refused_is_asked_for_again_with_the_next_change() -> None:
    """It is in the list and not in the table: an added one."""
    talk = Offered(APP, offer("8009", "app"))
    assert set(talk.offering.offers) == {1}
    talk.change(offer("8009", "app"))
    talk.carry()
    assert talk.standing().keys() == {1} and talk.offering.wished(1).target.text == "8009"


def test_a_retry_of_what_was_removed_is_not_made() -> None:
    """The relay had no room for it; nobody wants it now."""
    talk = Offered(APP, SSH)
    talk.enrolment.message(RefusedMessage("port-unavailable", "in use", retry=True, tunnel=2))
    talk.change(APP)
    talk.carry()
    talk.house.clock.advance(60)
    talk.carry()
    assert sorted(talk.standing()) == [1]


def test_a_name_of_the_relays_choice_can_be_written_down() -> None:
    """The tunnel keeps it without a break."""
    talk = Offered(offer("8001"))
    name = talk.standing()[1].name
    talk.change(offer("8001", name))
    talk.carry()
    assert talk.seen == [] and talk.standing()[1].name == name


def test_a_chosen_name_can_go_to_another_target() -> None:
    """It is given back before it is asked for."""
    talk = Offered(offer("8001"), SHOP)
    name = talk.standing()[1].name
    talk.change(offer("9001", name), SHOP)
    talk.carry()
    assert talk.standing()[3].name == name and talk.said == [f"http://{name}.example.com:7070 -> 9001"]


def test_the_same_target_under_another_name_is_another_tunnel() -> None:
    """One goes, one comes, though the service is the same for both."""
    talk = Offered(APP, offer("8001", "shop"))
    talk.change(APP, offer("8001", "garden"))
    talk.carry()
    assert talk.seen == [("released", "shop"), ("claimed", "garden")]
    found = difference({1: APP, 2: offer("8001")}, [offer("8001", "garden")], 2)
    assert (set(found.changed), set(found.removed), found.added) == ({2}, {1}, {})


def test_what_cannot_be_dialed_changes_nothing() -> None:
    """Neither here nor at the relay."""
    talk = Offered(APP, SHOP)
    before = talk.offering.offers
    with pytest.raises(ConfigurationError, match="9999"):
        talk.change(GARDEN, offer("9001", "app"), offer(UNREACHABLE))
    talk.carry()
    assert talk.offering.offers == before and talk.seen == []


def test_without_a_session_the_next_one_claims_the_new_list() -> None:
    """And visitors of it are served so from the start."""
    talk = Offered(APP, SHOP)
    talk.enrolment.end()
    talk.change(offer("9001", "app"), GARDEN)
    talk.client.cut()
    talk.client = talk.house.client()
    assert talk.client.session is not None
    talk.session = talk.client.session
    talk.session.on_open = talk.visitors.opened
    talk.begin()
    assert {tunnel.name for tunnel in talk.standing().values()} == {"app", "garden"}
    talk.visit("app")
    talk.carry()
    assert talk.reached() == {"9001": 1}


def test_the_file_of_an_authority_is_read_again_though_its_name_is_the_same() -> None:
    """The offer is the same; how it is dialed is not. The relay hears nothing."""
    secure = attrs.evolve(APP, trust=TlsTrust("/etc/ca.pem"))
    talk = Offered(secure, SHOP)
    before = [talk.offering.served(number) for number in (1, 2)]
    talk.change(secure, SHOP)
    after = [talk.offering.served(number) for number in (1, 2)]
    assert after[0] is not before[0] and after[1] is before[1]
    assert not difference({1: secure, 2: SHOP}, [secure, SHOP], 2)


TARGETS = st.sampled_from(["8001", "8002", "8003", "h2c://localhost:8001"])
HEADERS = st.sampled_from(["", "b.test"])
OFFERS = st.one_of(
    st.builds(offer, TARGETS, st.sampled_from(["app", "shop", "Garden"]), host_header=HEADERS),
    st.builds(
        offer, TARGETS, st.just(""), host=st.sampled_from(["a.example.org", "b.example.org"]), host_header=HEADERS
    ),
    st.builds(offer, TARGETS, st.just(""), host_header=HEADERS),
    st.builds(offer, TARGETS, st.just(""), kind=st.just("tcp"), port=st.sampled_from([0, 20_010, 20_011])),
)


def place(of: Offer) -> object:
    """What two tunnels cannot have both; for those that name none, themselves."""
    return of.host or of.name or of.port or object()


LISTS = st.lists(OFFERS, min_size=1, max_size=6, unique_by=place)


@given(LISTS, LISTS)
def test_from_any_list_to_any_other(first: list[Offer], second: list[Offer]) -> None:
    """The relay has the second list then, whole; what is in both was not touched, and visitors reach the services."""
    talk = Offered(*first)
    before, numbers = talk.standing(), talk.offering.offers
    assert len(before) == len(first)
    talk.change(*second)
    talk.carry()
    after = talk.standing()
    assert sorted(map(repr, talk.offering.offers.values())) == sorted(map(repr, second))
    assert after.keys() == talk.offering.offers.keys()
    for number, tunnel in after.items():
        wish = talk.offering.wished(number)
        assert (tunnel.host_header, tunnel.protocol) == (wish.host_header, wish.target.protocol or "http/1.1") or (
            wish.kind == "tcp"
        )
        assert tunnel.name == (wish.host or wish.name.lower() or str(wish.port or tunnel.name))
        if numbers.get(number) == wish:
            assert tunnel is before[number]
        talk.visit(tunnel.name, tunnel.place.kind)
    talk.carry()
    wished = [wish.target.text for wish in second]
    assert talk.reached() == {text: wished.count(text) for text in wished}
    kept = {before[number].name for number, wish in talk.offering.offers.items() if numbers.get(number) == wish}
    assert not kept & {name for _, name in talk.seen}
