"""Shares as a process knows them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from egtunnel.errors import EgtunnelError, StoreUnavailable
from egtunnel.sharing.book import Entry
from egtunnel.sharing.limits import SharingLimits
from tests.sharing.shelf import Shelf


class Download:
    """Something that came in by a share."""

    def __init__(self) -> None:
        self.cut: list[EgtunnelError] = []

    def cut_off(self, error: EgtunnelError) -> None:
        self.cut.append(error)


def result(deferred: Deferred[Any]) -> Any:
    """What it has fired with by now."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


def entry_of(shelf: Shelf, token: str) -> Entry:
    found = result(shelf.book.by_link(token))
    assert isinstance(found, Entry)
    return found


def test_a_link_is_looked_up_once_and_then_known() -> None:
    """By link and by id it is the same entry; an unknown link is asked for each time."""
    shelf = Shelf()
    made = shelf.add()
    entry = entry_of(shelf, made.token)
    assert entry_of(shelf, made.token) is entry
    assert result(shelf.book.by_id(made.record.id)) is entry is shelf.book.known(made.record.id)
    assert shelf.asked == 1
    assert result(shelf.book.by_link("x" * 32)) is None
    assert shelf.book.known("nobody") is None


def test_what_was_changed_in_the_store_is_seen_when_it_is_asked_again() -> None:
    """After ``fresh``; the entry stays the same object, so that its leash holds on."""
    shelf = Shelf(SharingLimits(fresh=10))
    made = shelf.add()
    entry = entry_of(shelf, made.token)
    shelf.change(made, permissions=("write",))
    shelf.clock.advance(9.9)
    assert entry_of(shelf, made.token).share.permissions is not None
    shelf.clock.advance(0.1)
    assert shelf.book.known(made.record.id) is None
    assert entry_of(shelf, made.token) is entry
    assert entry.share.permissions is None


def test_a_known_share_stands_while_the_store_is_away_and_an_unknown_one_is_an_error() -> None:
    """Until ``stale``."""
    shelf = Shelf(SharingLimits(fresh=10, stale=100))
    made, other = shelf.add(expires_in="never"), shelf.add()
    entry = entry_of(shelf, made.token)
    shelf.away = True
    shelf.clock.advance(50)
    assert entry_of(shelf, made.token) is entry
    with pytest.raises(StoreUnavailable):
        entry_of(shelf, other.token)
    shelf.clock.advance(50)
    with pytest.raises(StoreUnavailable):
        entry_of(shelf, made.token)


def test_a_row_that_is_gone_ends_what_came_in_by_it() -> None:
    """As a revocation does."""
    shelf = Shelf(SharingLimits(fresh=10))
    made, download = shelf.add(), Download()
    entry = entry_of(shelf, made.token)
    shelf.book.hold(entry).hold(download)
    shelf.rows.clear()
    shelf.clock.advance(10)
    assert result(shelf.book.by_link(made.token)) is None
    assert len(download.cut) == 1


def test_a_revocation_cuts_off_what_is_held_once_and_lets_go_of_what_is_over() -> None:
    """``end`` of an unknown share does nothing."""
    shelf = Shelf()
    made, there, gone = shelf.add(), Download(), Download()
    leash = shelf.book.hold(entry_of(shelf, made.token))
    leash.hold(there)
    leash.hold(gone)
    leash.let_go(gone)
    shelf.book.end("nobody")
    shelf.book.end(made.record.id)
    shelf.book.end(made.record.id)
    assert [error.text for error in there.cut] == ["the share is over"]
    assert gone.cut == []
    assert entry_of(shelf, made.token).share.ended(shelf.wall())


def test_what_expires_is_cut_off_in_time() -> None:
    """Within ``sweep``, also when the entry was pushed out of memory by others."""
    shelf = Shelf(SharingLimits(known=1, sweep=0.5))
    made, download = shelf.add(expires_in="30m"), Download()
    shelf.book.hold(entry_of(shelf, made.token)).hold(download)
    entry_of(shelf, shelf.add().token)
    shelf.book.start()
    shelf.clock.pump([0.5] * 3599)
    assert download.cut == []
    shelf.clock.pump([0.5] * 2)
    assert len(download.cut) == 1
    shelf.book.stop()
    assert not shelf.clock.getDelayedCalls()


def test_uses_are_counted_and_end() -> None:
    """The store has the last word of how many are left; a share without a number is noted and never asks."""
    shelf = Shelf()
    two, free = shelf.add(uses=2), shelf.add()
    entry = entry_of(shelf, two.token)
    assert [result(shelf.book.use(entry)) for _ in range(3)] == [True, True, False]
    assert entry.share.used_up()
    asked = shelf.asked
    other = entry_of(shelf, free.token)
    assert result(shelf.book.use(other)) is True
    assert shelf.asked == asked + 1, "for looking it up alone"
    assert shelf.uses == [free.record.id]
    assert shelf.told == [("share-used", two.record.id)] * 2 + [("share-used", free.record.id)]


def test_a_row_that_cannot_be_read_is_no_share() -> None:
    """It is logged, and nobody comes in by it."""
    shelf = Shelf()
    made = shelf.add()
    shelf.change(made, permissions=("nonsense",))
    assert result(shelf.book.by_link(made.token)) is None
