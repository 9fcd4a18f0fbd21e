"""Logins while the store is there, while it is away, and what was revoked meanwhile."""

from __future__ import annotations

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from egtunnel.access.cache import Cache, CacheLimits
from egtunnel.access.logins import Logins
from egtunnel.access.revocations import Revocations
from egtunnel.access.tokens import new_token
from egtunnel.errors import Refused, StoreUnavailable
from egtunnel.store.records import TokenRecord

NEW = new_token()
RECORD = TokenRecord(NEW.id, NEW.digest, "ann", "laptop", {}, 0.0)


class House:
    """A table of tokens that can be away, and logins over it."""

    def __init__(self, **limits: float) -> None:
        self.clock = Clock()
        self.rows = {RECORD.id: RECORD}
        self.away = False
        self.asked: list[str] = []
        self.revoked: list[tuple[str, float]] = []
        self.logins = Logins(self.find, self.clock.seconds, self.wall, CacheLimits(**limits))  # type: ignore[arg-type]

    def wall(self) -> float:
        """Time of day."""
        return 1_000_000.0 + self.clock.seconds()

    def find(self, token: str) -> Deferred[TokenRecord | None]:
        """As the store does."""
        self.asked.append(token)
        return fail(StoreUnavailable()) if self.away else succeed(self.rows.get(token))

    def since(self, moment: float) -> Deferred[list[str]]:
        """The same."""
        found = [name for name, at in self.revoked if at >= moment]
        return fail(StoreUnavailable()) if self.away else succeed(found)

    def login(self, text: str = NEW.text) -> str:
        """The owner, or why not."""
        results: list[TokenRecord | Failure] = []
        self.logins.login(text).addBoth(results.append)
        (result,) = results
        if isinstance(result, TokenRecord):
            return result.owner
        assert isinstance(result.value, Refused)
        return f"{result.value.reason}{' again' if result.value.retry else ''}"


def test_a_login_is_asked_of_the_store_each_time() -> None:
    """So that what was revoked a moment ago is known."""
    house = House()
    assert house.login() == "ann"
    house.rows[NEW.id] = attrs.evolve(RECORD, revoked=1.0)
    assert house.login() == "token-revoked"
    assert house.asked == [NEW.id] * 2


def test_what_is_no_token_is_not_asked_for() -> None:
    """Strangers keep the store busy with nothing."""
    house = House()
    assert house.login("nonsense") == "bad-token"
    assert house.asked == []


def test_while_the_store_is_away_known_tokens_are_let_in() -> None:
    """With their secret, for the named time; others are told to come again."""
    house = House(age=60.0)
    house.login()
    house.away = True
    assert house.login() == "ann"
    assert house.login(f"eg_{NEW.id}_{'x' * 43}") == "bad-token"
    assert house.login(new_token().text) == "store-away again"
    house.clock.advance(59.0)
    assert house.login() == "ann"
    house.clock.advance(1.0)
    assert house.login() == "store-away again"
    house.away = False
    assert house.login() == "ann"


def test_a_wrong_secret_is_never_remembered() -> None:
    """Nor does it push out who is known."""
    house = House(tokens=1)
    house.login()
    other = new_token()
    house.rows[other.id] = attrs.evolve(RECORD, id=other.id, digest=other.digest)
    house.login(f"eg_{other.id}_{'x' * 43}")
    house.away = True
    assert house.login() == "ann"
    assert house.login(other.text) == "store-away again"


@pytest.mark.parametrize("how", ["told", "expired", "gone"])
def test_what_is_over_is_not_let_in_from_memory(how: str) -> None:
    """Revoked while it was known, expired meanwhile, or no longer in the store when it was there last."""
    house = House()
    house.rows[NEW.id] = attrs.evolve(RECORD, expires=1_000_010.0)
    house.login()
    if how == "told":
        house.logins.revoked(NEW.id)
    if how == "expired":
        house.clock.advance(10.0)
    if how == "gone":
        house.rows.clear()
        assert house.login() == "bad-token"
    house.away = True
    assert house.login() == {"told": "token-revoked", "expired": "token-expired", "gone": "store-away again"}[how]


def test_uses_are_noted_for_the_store() -> None:
    """Once taken, they are gone."""
    house = House()
    house.login()
    house.login("nonsense")
    assert house.logins.take_used() == {NEW.id: 1_000_000.0}
    assert house.logins.take_used() == {}


def test_a_cache_forgets_the_oldest() -> None:
    """And what is put again is young."""
    cache: Cache[str, int] = Cache(2, 10.0)
    for key, now in (("a", 0.0), ("b", 1.0), ("a", 2.0), ("c", 3.0)):
        cache.put(key, 1, now)
    assert [cache.get(key, 4.0) for key in "abc"] == [1, None, 1]
    assert cache.get("a", 12.0) is None
    assert len(cache) == 1


def test_each_revocation_is_told_once_within_a_second() -> None:
    """Also one that another relay, whose clock is behind, wrote; and those of the time the store was away."""
    house, told = House(), list[str]()
    watch = Revocations(house.since, told.append, house.clock, house.wall)
    watch.start()
    house.revoked.append(("a", house.wall() - 50.0))
    house.clock.pump([0.1] * 10)
    assert told == ["a"]
    house.clock.pump([0.5] * 300)
    assert told == ["a"]
    house.away = True
    house.revoked.append(("b", house.wall()))
    house.clock.pump([0.5] * 300)
    house.away = False
    house.clock.pump([0.1] * 10)
    assert told == ["a", "b"]
    watch.stop()
    house.revoked.append(("c", house.wall()))
    house.clock.advance(10.0)
    assert told == ["a", "b"]
    assert house.clock.getDelayedCalls() == []


def test_a_fault_of_who_is_told_does_not_end_the_watch() -> None:
    """It is logged; the next one is told."""
    house, told = House(), list[str]()

    def tell(name: str) -> None:
        told.append(name)
        raise LookupError(name)

    Revocations(house.since, tell, house.clock, house.wall).start()
    for name in "ab":
        house.revoked.append((name, house.wall()))
        house.clock.advance(0.5)
    assert told == ["a", "b"]
