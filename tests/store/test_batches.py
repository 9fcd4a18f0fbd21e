"""What nobody waits for: written together, kept while the store is away, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from egtunnel.store.address import parse_store_address
from egtunnel.store.batches import Batches
from egtunnel.store.limits import StoreLimits
from egtunnel.store.records import OwnerRecord, RefusalRecord, TokenRecord, UsageRecord
from egtunnel.store.store import Store
from tests.store.reactors import Turns

NOW = 1_000_000.0


@pytest.fixture
def store(turns: Turns, tmp_path: Path) -> Iterator[Store]:
    """With one token; not open yet, as if it were away."""
    limits = StoreLimits(batch=3, interval=0.01, audit=2)
    opened = Store(parse_store_address("", tmp_path), turns.reactor, limits, lambda line: None)
    yield opened
    turns.wait(opened.close())
    assert turns.reactor.getDelayedCalls() == []


def opened(store: Store, turns: Turns) -> None:
    """It is there from now on."""
    turns.wait(store.open())
    turns.wait(store.write(lambda rows: rows.owners.create(OwnerRecord("o", "ann", 1.0))))
    turns.wait(store.write(lambda rows: rows.tokens.create(TokenRecord("t", b"x" * 32, "o", "n", {}, 1.0))))


def refusal(number: int) -> RefusalRecord:
    """One of many."""
    return RefusalRecord(NOW + number, "bad-token", "192.0.2.7", str(number))


def test_what_was_noted_is_written_a_moment_later(store: Store, turns: Turns) -> None:
    """All of it, as sums."""
    opened(store, turns)
    batches = Batches(store, turns.reactor, lambda: NOW)
    batches.refused(refusal(1))
    batches.used("t", 7.0)
    batches.used("t", 6.0)
    for _ in range(2):
        batches.passed(UsageRecord("t", "2026-11", 1, 2, 3))
    turns.until(lambda: bool(turns.wait(store.read(lambda rows: rows.audit.list()))))
    assert turns.wait(store.read(lambda rows: rows.usage.of("t", "2026-11"))) == UsageRecord("t", "2026-11", 2, 4, 6)
    (token,) = turns.wait(store.read(lambda rows: rows.tokens.list()))
    assert token.last_used == 7.0
    turns.wait(batches.close())


def test_what_is_noted_while_the_store_is_away_comes_later_and_is_bounded(store: Store, turns: Turns) -> None:
    """The newest refusals; sums go on growing."""
    batches = Batches(store, turns.reactor, lambda: NOW)
    for number in range(5):
        batches.refused(refusal(number))
        batches.passed(UsageRecord(f"t{number}", "2026-11", 1))
        batches.passed(UsageRecord("t0", "2026-11", 1))
    for _ in range(5):
        turns.reactor.iterate(0.02)
    assert batches.lost == 4
    opened(store, turns)
    turns.wait(batches.close())
    assert [found.what for found in turns.wait(store.read(lambda rows: rows.audit.list()))] == ["4", "3"]
    usage = turns.wait(store.read(lambda rows: rows.usage.list("2026-11")))
    assert [(found.token, found.requests) for found in usage] == [("t0", 6), ("t1", 1), ("t2", 1)]


def test_closing_writes_what_is_left_and_old_refusals_are_forgotten(store: Store, turns: Turns) -> None:
    """The first write looks for them."""
    opened(store, turns)
    batches = Batches(store, turns.reactor, lambda: NOW)
    for number in range(3):
        batches.refused(refusal(number))
    turns.wait(batches.close())
    assert [found.what for found in turns.wait(store.read(lambda rows: rows.audit.list()))] == ["2", "1"]
    turns.wait(batches.close())
