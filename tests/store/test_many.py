"""A hundred thousand tokens and as many shares: how long a look-up and a start take."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from egtunnel.store.address import StoreAddress
from egtunnel.store.limits import StoreLimits
from egtunnel.store.records import OwnerRecord, ShareRecord, TokenRecord
from egtunnel.store.rows import Rows
from egtunnel.store.store import Store
from tests.store.reactors import Turns

pytestmark = pytest.mark.soak

MANY = 100_000
LOOKS = 2_000
FILL = StoreLimits(answer=120.0)


def digest(number: int) -> bytes:
    """Of a token or a share."""
    return hashlib.sha256(str(number).encode()).digest()


def fill(rows: Rows) -> None:
    """A thousand owners, a hundred tokens and shares each."""
    for number in range(1_000):
        rows.owners.create(OwnerRecord(f"o{number}", f"owner {number}", 1.0))
    for start in range(0, MANY, 1_000):
        numbers = range(start, start + 1_000)
        rows.tokens.create(
            *(TokenRecord(f"t{n}", digest(n), f"o{n % 1_000}", f"n{n}", {"names": ["a-*"]}, 1.0) for n in numbers)
        )
        rows.shares.create(
            *(ShareRecord(f"s{n}", digest(n), f"o{n % 1_000}", ("a.example",), (), ("read",), 1.0) for n in numbers)
        )


@pytest.fixture
def filled(address: StoreAddress, turns: Turns) -> Iterator[StoreAddress]:
    """The place of a store that is not open."""
    store = Store(address, turns.reactor, FILL, lambda line: None)
    turns.wait(store.open())
    turns.wait(store.write(fill), FILL.answer)
    turns.wait(store.close())
    yield address


def p50_and_p99(turns: Turns, store: Store, look: Callable[[int], Callable[[Rows], Any]]) -> tuple[float, float]:
    """Milliseconds, from the reactor to a thread and back, one after the other."""
    chance, taken = random.Random(6), []
    for _ in range(LOOKS):
        work = look(chance.randrange(MANY))
        started = time.perf_counter()
        assert turns.wait(store.read(work)) is not None
        taken.append(time.perf_counter() - started)
    taken.sort()
    return taken[LOOKS // 2] * 1_000, taken[LOOKS * 99 // 100] * 1_000


def test_look_ups_and_start_with_a_hundred_thousand_of_each(
    filled: StoreAddress, turns: Turns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below 5 ms at p99; below 3 s until open."""
    store = Store(filled, turns.reactor, StoreLimits(), lambda line: None)
    started = time.perf_counter()
    turns.wait(store.open())
    opened = time.perf_counter() - started
    looks: dict[str, Callable[[int], Callable[[Rows], Any]]] = {
        "token": lambda number: lambda rows: rows.tokens.find(f"t{number}"),
        "share": lambda number: lambda rows: rows.shares.find(digest(number)),
        "revoked": lambda number: lambda rows: rows.tokens.revoked_since(2.0 + number),
    }
    found = {name: p50_and_p99(turns, store, look) for name, look in looks.items()}
    turns.wait(store.close())
    figures = ", ".join(f"{name} {p50:.2f} and {p99:.2f} ms" for name, (p50, p99) in found.items())
    with capsys.disabled():
        print(f"\n{'SQLite' if filled.file else 'PostgreSQL'}: open {opened:.2f} s; p50 and p99 of {figures}")
    assert max(p99 for _, p99 in found.values()) < 5
    assert opened < 3
