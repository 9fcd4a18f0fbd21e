"""Places that belong to owners for good: a real SQLite store, its mirror, and proofs by a real name server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.names import dns, server
from twisted.names.authority import FileAuthority

from egtunnel.access.scope import Scope
from egtunnel.errors import Refused
from egtunnel.relay.claims import ClaimLimits
from egtunnel.relay.holdings import HoldingLimits, Holdings, Title, holdings_of
from egtunnel.relay.names import candidates
from egtunnel.relay.proofs import ProofLimits, Proofs, record_name, record_text
from egtunnel.relay.reservations import Place
from egtunnel.store.address import parse_store_address
from egtunnel.store.records import NameRecord, OwnerRecord
from egtunnel.store.rows import Rows
from egtunnel.store.store import Store
from tests.relay.house import House, HouseLimits
from tests.store.reactors import Turns

HOST = "www.custom.test"


class Zone(FileAuthority):
    """A zone in memory; what is asked of it is counted."""

    def __init__(self) -> None:
        super().__init__("")
        self.asked = 0

    def loadFile(self, filename: str) -> None:
        """There is no file."""
        self.soa: Any = b"custom.test", dns.Record_SOA(b"ns.custom.test", b"root.custom.test", 1, 1, 1, 1, 1)
        self.records: Any = {b"custom.test": [self.soa[1]]}

    def set(self, host: str, *texts: str) -> None:
        """The TXT records of a host's proof."""
        self.records[record_name(host).encode()] = [dns.Record_TXT(text.encode(), ttl=0) for text in texts]

    def _lookup(self, *arguments: object, **more: object) -> Deferred[object]:
        self.asked += 1
        answer: Deferred[object] = super()._lookup(*arguments, **more)
        return answer


@attrs.define
class Estate:
    """A store with the owners ann, bob and admin, the mirror of what they have, and their name server."""

    turns: Turns
    store: Store
    zone: Zone
    holdings: Holdings

    def reserve(self, kind: str, value: str, owner: str, proven: str = "admin") -> None:
        """A place is its owner's from the next look on."""
        record = NameRecord(kind, value, owner, proven, time.time())
        self.turns.wait(self.store.write(lambda rows: rows.names.reserve(record)))

    def holder(self, value: str, kind: str = "host") -> str | None:
        """Who has a place as the store says."""
        found = self.turns.wait(self.store.read(lambda rows: rows.names.find(kind, value)))
        return None if found is None else found.owner

    def look(self) -> None:
        """The mirror is as the store."""
        self.holdings.stop()
        self.turns.wait(self.holdings.start())

    def wants(self, owner: str, place: Place, scope: Scope | None = None) -> str:
        """Why an owner does not get a place; empty: it does."""
        try:
            self.holdings.title(owner, scope).check(place)
        except Refused as error:
            return error.reason
        return ""


def _create(owner: OwnerRecord, rows: Rows) -> None:
    rows.owners.create(owner)


@pytest.fixture
def estate(turns: Turns, tmp_path: Path) -> Iterator[Estate]:
    """Open, and looked at once."""
    zone = Zone()
    authority = server.DNSServerFactory(authorities=[zone])
    udp = turns.reactor.listenUDP(0, dns.DNSDatagramProtocol(authority), interface="127.0.0.1")
    store = Store(parse_store_address("", tmp_path), turns.reactor, say=lambda line: None)
    turns.wait(store.open())
    for owner in (OwnerRecord("ann", "Ann", 1.0), OwnerRecord("bob", "Bob", 1.0), OwnerRecord("root", "admin", 1.0)):
        turns.wait(store.write(partial(_create, owner)))
    address = udp.getHost()
    holdings = holdings_of(store, turns.reactor, time.time, (address.host, address.port))
    made = Estate(turns, store, zone, holdings)
    made.look()
    yield made
    holdings.stop()
    turns.wait(store.close())
    udp.stopListening()
    turns.until(lambda: not udp.connected)


def test_a_reserved_place_is_its_owners_alone(estate: Estate) -> None:
    """Of each kind; the relay's own token has what is the admin's."""
    estate.reserve("name", "shop", "ann")
    estate.reserve("tcp", "20005", "ann")
    estate.reserve("name", "office", "root")
    estate.look()
    for place in (Place("name", "shop"), Place("port", "20005")):
        assert estate.wants("ann", place) == ""
        assert estate.wants("bob", place) == estate.wants("", place) == "name-owned"
    assert estate.wants("", Place("name", "office")) == ""
    assert estate.wants("ann", Place("name", "office")) == "name-owned"
    assert estate.wants("bob", Place("name", "other")) == ""


def test_what_is_released_is_free_within_a_look(estate: Estate) -> None:
    """The mirror follows by itself, also if as much is reserved as was released."""
    estate.holdings.limits = HoldingLimits(interval=0.01)
    estate.reserve("name", "shop", "ann")
    estate.look()
    assert estate.wants("bob", Place("name", "shop")) == "name-owned"
    estate.turns.wait(estate.store.write(lambda rows: rows.names.release("name", "shop")))
    estate.reserve("name", "stall", "ann")
    estate.turns.until(lambda: estate.wants("bob", Place("name", "shop")) == "")
    assert estate.wants("bob", Place("name", "stall")) == "name-owned"


def test_nothing_is_read_again_if_nothing_changed(estate: Estate) -> None:
    """The mirror stays the same object."""
    estate.reserve("name", "shop", "ann")
    estate.look()
    known = estate.holdings._holders
    estate.look()
    assert estate.holdings._holders is known


def test_what_was_known_holds_while_the_store_is_away(estate: Estate) -> None:
    """And nothing breaks."""
    estate.reserve("name", "shop", "ann")
    estate.look()
    estate.turns.wait(estate.store.close())
    estate.look()
    assert estate.wants("bob", Place("name", "shop")) == "name-owned"


def test_a_custom_host_has_to_be_proven(estate: Estate) -> None:
    """The refusal says what to put where; once it is there, the next claim succeeds."""
    place = Place("host", HOST)
    with pytest.raises(Refused, match=f"{record_name(HOST)} to {record_text('ann')}") as caught:
        estate.holdings.title("ann", None).check(place)
    assert (caught.value.reason, caught.value.retry) == ("host-unproven", True)
    proofs = estate.holdings.proofs
    assert proofs is not None
    proofs.limits = ProofLimits(pace=0.0)
    estate.turns.until(lambda: not proofs._open)
    assert estate.holder(HOST) is None
    estate.zone.set(HOST, "something else", record_text("ann"))
    assert estate.wants("ann", place) == "host-unproven"
    estate.turns.until(lambda: estate.holder(HOST) == "ann")
    estate.look()
    assert estate.wants("ann", place) == ""
    assert estate.wants("bob", place) == "host-unproven"
    assert estate.wants("", place) == "name-owned"


def test_a_proven_host_changes_hands_when_dns_says_so(estate: Estate) -> None:
    """But not while both are named, nor if the admin gave it."""
    proofs = estate.holdings.proofs
    assert proofs is not None
    proofs.limits = ProofLimits(pace=0.0)
    estate.reserve("host", HOST, "ann", "dns")
    estate.reserve("host", "given.custom.test", "ann")
    estate.zone.set(HOST, record_text("ann"), record_text("bob"))
    estate.zone.set("given.custom.test", record_text("bob"))
    estate.look()
    for host in (HOST, "given.custom.test"):
        assert estate.wants("bob", Place("host", host)) == "host-unproven"
    estate.turns.until(lambda: not proofs._open)
    assert estate.holder(HOST) == estate.holder("given.custom.test") == "ann"
    estate.zone.set(HOST, record_text("bob"))
    estate.wants("bob", Place("host", HOST))
    estate.turns.until(lambda: estate.holder(HOST) == "bob")


def test_a_host_that_the_scope_names_needs_no_proof(estate: Estate) -> None:
    """That is the admin's word; so is the relay's own token."""
    assert estate.wants("ann", Place("host", HOST), Scope(hosts=("*.custom.test",))) == ""
    assert estate.wants("", Place("host", HOST)) == ""


def test_a_client_that_asks_on_and_on_does_not_make_the_relay_ask_on_and_on(estate: Estate) -> None:
    """One look-up of a host within the pace, so many at once, so many hosts for an owner."""
    proofs = estate.holdings.proofs
    assert proofs is not None
    for _ in range(50):
        assert estate.wants("ann", Place("host", HOST)) == "host-unproven"
    estate.turns.until(lambda: not proofs._open)
    assert estate.wants("ann", Place("host", HOST)) == "host-unproven"
    assert estate.zone.asked == 1
    proofs.limits = ProofLimits(open=2)
    for number in range(10):
        estate.wants("ann", Place("host", f"w{number}.custom.test"))
    assert len(proofs._open) == 2
    estate.turns.until(lambda: not proofs._open)
    proofs.limits = ProofLimits(hosts=1, pace=0.0)
    for host in (HOST, "two.custom.test"):
        estate.zone.set(host, record_text("ann"))
        estate.wants("ann", Place("host", host))
        estate.turns.until(lambda: not proofs._open)
    assert (estate.holder(HOST), estate.holder("two.custom.test")) == ("ann", None)


def test_without_a_store_nothing_is_reserved() -> None:
    """A custom host belongs to whoever claims it first, as ever."""
    Title().check(Place("host", HOST))
    Holdings().title("", None).check(Place("name", "shop"))


def test_the_relay_does_not_give_away_what_is_reserved(estate: Estate) -> None:
    """Neither a port nor a name that it chooses itself, nor one that is asked for."""
    house = House(HouseLimits(claims=ClaimLimits(ports=range(20_000, 20_002))))
    house.holdings = estate.holdings
    first, second = [name for name, _ in zip(candidates("one", "key"), range(2), strict=False)]
    estate.reserve("name", first, "ann")
    estate.reserve("tcp", "20000", "ann")
    estate.look()
    client = house.client()
    assert client.claim(1, key="key").name == second
    assert client.claim(2, kind="tcp", key="db").name == "20001"
    assert client.refused(3, kind="tcp", port=20_000).code == "name-owned"
    assert client.refused(3, name=first).code == "name-owned"


def test_proofs_fit_into_a_store_that_is_away(estate: Estate) -> None:
    """What cannot be kept is looked for again later."""
    proofs = Proofs(estate.store, lambda name: Deferred(), estate.turns.reactor, time.time)
    estate.turns.wait(estate.store.close())
    answer: Deferred[list[str]] = Deferred()
    proofs._lookup = lambda name: answer
    with pytest.raises(Refused):
        proofs.check(HOST, "ann")
    answer.callback([record_text("ann")])
    assert not proofs._open
