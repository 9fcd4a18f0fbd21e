"""Names over all workers: one truth, told to everybody before a client hears of it. Pure."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from egtunnel.access.scope import Scope
from egtunnel.policy import Edit, HeaderPolicy
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.claims import ClaimLimits
from egtunnel.relay.reservations import Place, Reservations
from egtunnel.relay.tunnels import Manner
from egtunnel.relay.waiting import WaitingLimits, WaitingRoom
from egtunnel.relay.workers.bulletin import Bulletin
from egtunnel.relay.workers.registry import DistantSession, Registry, SharedTable, words_of
from egtunnel.relay.workers.rows import Row, Seat
from egtunnel.session.messages import Claim, Claimed, Message, RefusedMessage


class Desk:
    """A registry whose answers are kept."""

    def __init__(self) -> None:
        clock = Clock()
        self.answers: list[tuple[int, str, Message]] = []
        self.ended: list[tuple[int, str]] = []
        self.table = SharedTable(Reservations(), WaitingRoom(clock, WaitingLimits()), clock.seconds)
        self.registry = Registry(
            self.table,
            Addresses("example.com", "http", 7070),
            ClaimLimits(),
            answer=self._answer,
            end=lambda session: self.ended.append((session.worker, session.id)),
        )

    def _answer(self, session: DistantSession, message: Message) -> None:
        self.answers.append((session.worker, session.id, message))

    def claim(self, worker: int, id: str, name: str = "app", **more: Any) -> Message:
        self.registry.said(worker, id, words_of(Claim(1, "http", name=name, **more)))
        return self.answers[-1][2]

    def seats(self, name: str = "app") -> list[tuple[int, str]]:
        row = self.table.row(Place("name", name))
        return [] if row is None else [(seat.worker, seat.session) for seat in row.seats]


def test_a_name_is_given_once_whichever_worker_asks() -> None:
    """The second of two clients at two workers is refused."""
    desk = Desk()
    desk.registry.joined(1, "w1-a", "token", "one")
    desk.registry.joined(2, "w2-b", "token", "two")
    assert isinstance(desk.claim(1, "w1-a"), Claimed)
    refused = desk.claim(2, "w2-b")
    assert isinstance(refused, RefusedMessage) and refused.code == "name-taken"
    assert desk.seats() == [(1, "w1-a")]


def test_a_client_that_comes_to_another_worker_takes_its_names_along() -> None:
    """Its older session has none from that moment on, and is ended."""
    desk = Desk()
    desk.registry.joined(1, "w1-a", "token", "one")
    desk.claim(1, "w1-a")
    desk.registry.joined(2, "w2-b", "token", "one")
    assert desk.ended == [(1, "w1-a")] and desk.seats() == []
    assert isinstance(desk.claim(2, "w2-b"), Claimed)
    desk.registry.over(1, "w1-a")
    assert desk.seats() == [(2, "w2-b")]
    before = len(desk.answers)
    desk.registry.said(1, "w1-a", words_of(Claim(1, "http", name="late")))
    assert len(desk.answers) == before


def test_what_a_lost_worker_held_waits_for_its_owners() -> None:
    """The name stays reserved; nobody else gets it."""
    desk = Desk()
    desk.registry.joined(1, "w1-a", "token", "one")
    desk.registry.joined(2, "w2-b", "token", "two")
    desk.claim(1, "w1-a")
    desk.table.changed.clear()
    desk.registry.lost(1)
    assert desk.seats() == [] and list(desk.table.changed) == [Place("name", "app")]
    assert isinstance(desk.claim(2, "w2-b"), RefusedMessage)
    desk.registry.joined(2, "w2-c", "token", "one")
    assert isinstance(desk.claim(2, "w2-c"), Claimed)


def test_clients_of_several_workers_share_a_name() -> None:
    """Both have a seat."""
    desk = Desk()
    for worker, client in ((1, "one"), (2, "two")):
        desk.registry.joined(worker, f"w{worker}", "token", client)
        assert isinstance(desk.claim(worker, f"w{worker}", share=True), Claimed)
    assert desk.seats() == [(1, "w1"), (2, "w2")]


def test_a_row_is_the_same_on_the_other_side() -> None:
    """With all that a manner can hold."""
    policy = HeaderPolicy((Edit("set", b"A", "é".encode()), Edit("remove", b"B")), (Edit("add", b"C", b"d"),), b"/x")
    row = Row(
        Place("host", "a.b"), Manner("h", "h2c", policy, True, "cookie", '{"no":1}'), (Seat(1, "w1-a", 2, "one", "id"),)
    )
    assert Row.from_words(row.to_words()) == row


def test_nobody_is_answered_before_all_have_seen_it() -> None:
    """Not even the worker that is first; one that is gone is not waited for."""
    told: list[tuple[int, Any]] = []
    called: list[int] = []
    bulletin = Bulletin(lambda reader, words: told.append((reader, words.get("turn"))))
    for reader in (1, 2, 3):
        bulletin.join(reader)
    bulletin.post({"type": "row"})
    bulletin.after(lambda: called.append(1))
    assert told[-3:] == [(1, 1), (2, 1), (3, 1)] and called == []
    bulletin.saw(1, 1)
    bulletin.saw(2, 1)
    assert called == [] and bulletin.behind() == [3]
    bulletin.leave(3)
    assert called == [1]
    bulletin.after(lambda: called.append(2))
    assert called == [1, 2]


def test_what_a_token_may_do_counts_over_all_workers() -> None:
    """Its scope comes with each session; a worker that is lost takes its tunnels with it."""
    desk = Desk()
    scope = Scope.from_json({"names": ["demo-*"], "tunnels": 1})
    desk.registry.joined(1, "w1-a", "token", "one", scope)
    desk.registry.joined(2, "w2-b", "token", "two", scope)
    other = desk.claim(1, "w1-a", "other")
    assert isinstance(other, RefusedMessage) and other.code == "scope-names"
    assert isinstance(desk.claim(1, "w1-a", "demo-1"), Claimed)
    third = desk.claim(2, "w2-b", "demo-2")
    assert isinstance(third, RefusedMessage) and third.code == "scope-tunnels"
    desk.registry.lost(1)
    assert isinstance(desk.claim(2, "w2-b", "demo-2"), Claimed)
    desk.registry.over(2, "w2-b")
    assert desk.table.scoped == {}
