"""What every store does, whichever database is beneath: the same tests for SQLite and for a real PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

import attrs
import pytest

from egtunnel.errors import StoreConflict
from egtunnel.store.records import NameRecord, OwnerRecord, RefusalRecord, ShareRecord, TokenRecord, UsageRecord
from egtunnel.store.rows import Rows
from egtunnel.store.store import Store
from tests.store.reactors import Turns

T = TypeVar("T")
ANN = OwnerRecord("ann1", "ann", 1_000.5)
BOB = OwnerRecord("bob1", "bob", 1_001.0)


def digest(text: str) -> bytes:
    """32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def token(name: str, owner: str = "ann1") -> TokenRecord:
    """A token with everything that has no default."""
    return TokenRecord(f"t-{name}", digest(name), owner, name, {"names": ["demo-*"], "tunnels": 2}, 1_002.25)


def share(name: str, uses: int | None = None, expires: float | None = None) -> ShareRecord:
    """A share of everything behind one tunnel."""
    services = ({"tunnel": "demo.example.com", "prefix": "/mail"},)
    return ShareRecord(
        f"s-{name}",
        digest(name),
        "ann1",
        ("demo.example.com",),
        services,
        ("read",),
        1_003.0,
        expires=expires,
        uses_left=uses,
        note="für \U0001f600",
    )


class TestContract:
    """Each test has a store with two owners."""

    @pytest.fixture(autouse=True)
    def _owners(self, store: Store, turns: Turns) -> None:
        self.store, self.turns = store, turns
        self.write(lambda rows: rows.owners.create(ANN))
        self.write(lambda rows: rows.owners.create(BOB))

    def read(self, work: Callable[[Rows], T]) -> T:
        """At once, for the test."""
        return self.turns.wait(self.store.read(work))

    def write(self, work: Callable[[Rows], T]) -> T:
        """The same."""
        return self.turns.wait(self.store.write(work))

    def test_owners_are_found_listed_and_disabled(self) -> None:
        """By id and by name."""
        assert self.read(lambda rows: rows.owners.find("ann1")) == ANN
        assert self.read(lambda rows: rows.owners.named("bob")) == BOB
        assert self.read(lambda rows: rows.owners.find("nobody")) is None
        assert self.read(lambda rows: rows.owners.list(after="ann")) == [BOB]
        assert self.write(lambda rows: rows.owners.disable("ann1", 2_000.0))
        assert not self.write(lambda rows: rows.owners.disable("ann1", 2_001.0))
        assert self.read(lambda rows: rows.owners.disabled_since(2_000.0)) == ["ann1"]
        assert self.write(lambda rows: rows.owners.enable("ann1"))
        assert self.read(lambda rows: rows.owners.find("ann1")) == ANN

    def test_a_token_comes_back_as_it_went_in(self) -> None:
        """Every column."""
        full = attrs.evolve(token("a"), expires=9_000.125, revoked=8_000.0, last_used=7_000.0)
        self.write(lambda rows: rows.tokens.create(full, token("b")))
        assert self.read(lambda rows: rows.tokens.find("t-a")) == full
        assert self.read(lambda rows: rows.tokens.find("t-b")) == token("b")
        assert self.read(lambda rows: rows.tokens.find("t-c")) is None

    def test_a_token_knows_that_its_owner_is_disabled(self) -> None:
        """One query tells both."""
        self.write(lambda rows: rows.tokens.create(token("a")))
        assert self.write(lambda rows: rows.owners.disable("ann1", 2_000.0))
        found = self.read(lambda rows: rows.tokens.find("t-a"))
        assert found is not None
        assert found.disabled == 2_000.0
        assert self.read(lambda rows: rows.tokens.revoked_since(1_999.0)) == ["t-a"]

    def test_tokens_are_listed_page_by_page(self) -> None:
        """Of one owner, or of all."""
        made = [token(str(number)) for number in range(5)]
        self.write(lambda rows: rows.tokens.create(*made, token("x", "bob1")))
        assert self.read(lambda rows: rows.tokens.list("ann1", most=3)) == made[:3]
        assert self.read(lambda rows: rows.tokens.list("ann1", after="t-2")) == made[3:]
        assert len(self.read(lambda rows: rows.tokens.list())) == 6
        assert self.read(lambda rows: rows.tokens.count()) == 6

    def test_a_token_is_revoked_once(self) -> None:
        """And then is among the revoked."""
        self.write(lambda rows: rows.tokens.create(token("a"), token("b")))
        assert self.write(lambda rows: rows.tokens.revoke("t-a", 3_000.0))
        assert not self.write(lambda rows: rows.tokens.revoke("t-a", 3_001.0))
        assert not self.write(lambda rows: rows.tokens.revoke("t-nothing", 3_001.0))
        assert self.read(lambda rows: rows.tokens.revoked_since(3_000.0)) == ["t-a"]
        assert self.read(lambda rows: rows.tokens.revoked_since(3_000.5)) == []

    def test_last_uses_are_written_together(self) -> None:
        """What is unknown is passed over."""
        self.write(lambda rows: rows.tokens.create(token("a"), token("b")))
        self.write(lambda rows: rows.tokens.touch({"t-b": 5.0, "t-a": 6.0, "t-gone": 7.0}))
        self.write(lambda rows: rows.tokens.touch({}))
        assert [found.last_used for found in self.read(lambda rows: rows.tokens.list())] == [6.0, 5.0]

    @pytest.mark.parametrize(
        "work",
        [
            lambda rows: rows.owners.create(ANN),
            lambda rows: rows.owners.create(attrs.evolve(ANN, id="other")),
            lambda rows: rows.tokens.create(token("a", owner="nobody")),
            lambda rows: rows.tokens.create(token("a"), token("a")),
            lambda rows: rows.tokens.create(token("a"), attrs.evolve(token("a"), id="other")),
            lambda rows: rows.shares.create(share("a"), attrs.evolve(share("a"), id="other")),
        ],
    )
    def test_what_exists_is_a_conflict(self, work: Callable[[Rows], None]) -> None:
        """Or what belongs to nobody; and nothing of it is kept."""
        with pytest.raises(StoreConflict):
            self.write(work)
        assert self.read(lambda rows: rows.tokens.count()) == 0
        assert self.read(lambda rows: rows.shares.list()) == []

    def test_an_error_undoes_the_whole_write(self) -> None:
        """What came before it, too; the error itself comes through."""

        def half(rows: Rows) -> None:
            rows.tokens.create(token("a"))
            raise LookupError("half way")

        with pytest.raises(LookupError, match="half way"):
            self.write(half)
        assert self.read(lambda rows: rows.tokens.find("t-a")) is None

    def test_a_place_belongs_to_one_owner(self) -> None:
        """Reserved, found, listed, released."""
        place, port = NameRecord("name", "demo", "ann1", "claim", 5.0), NameRecord("tcp", "2222", "bob1", "admin", 6.0)
        self.write(lambda rows: rows.names.reserve(place, port))
        with pytest.raises(StoreConflict):
            self.write(lambda rows: rows.names.reserve(attrs.evolve(place, owner="bob1")))
        assert self.read(lambda rows: rows.names.find("name", "demo")) == place
        assert self.read(lambda rows: rows.names.find("host", "demo")) is None
        assert self.read(lambda rows: rows.names.list()) == [place, port]
        assert self.read(lambda rows: rows.names.list("bob1")) == [port]
        assert self.read(lambda rows: rows.names.list(after=("name", "demo"))) == [port]
        assert not self.write(lambda rows: rows.names.release("name", "demo", "bob1"))
        assert self.write(lambda rows: rows.names.release("name", "demo", "ann1"))
        assert self.read(lambda rows: rows.names.list()) == [port]

    def test_a_share_comes_back_as_it_went_in(self) -> None:
        """By the hash of its token and by id."""
        full = attrs.evolve(share("a", uses=3, expires=9_000.0), passphrase="scrypt$x", revoked=1.0, last_used=2.0)
        self.write(lambda rows: rows.shares.create(full, share("b")))
        assert self.read(lambda rows: rows.shares.find(digest("a"))) == full
        assert self.read(lambda rows: rows.shares.get("s-b")) == share("b")
        assert self.read(lambda rows: rows.shares.find(digest("c"))) is None
        assert self.read(lambda rows: rows.shares.list("ann1")) == [full, share("b")]
        assert self.read(lambda rows: rows.shares.list("bob1")) == []

    def test_the_last_use_of_a_share_is_given_once(self) -> None:
        """Ten ask at once for three."""
        self.write(lambda rows: rows.shares.create(share("a", uses=3)))
        asked = [self.store.write(lambda rows: rows.shares.use("s-a", 2_000.0)) for _ in range(10)]
        assert sum(self.turns.wait(one) for one in asked) == 3
        found = self.read(lambda rows: rows.shares.get("s-a"))
        assert found is not None
        assert (found.uses_left, found.use_count, found.last_used) == (0, 3, 2_000.0)

    def test_a_share_without_number_is_used_for_ever(self) -> None:
        """Only counted."""
        self.write(lambda rows: rows.shares.create(share("a")))
        assert all(self.write(lambda rows: rows.shares.use("s-a", 2_000.0)) for _ in range(3))
        found = self.read(lambda rows: rows.shares.get("s-a"))
        assert found is not None
        assert (found.uses_left, found.use_count) == (None, 3)

    def test_a_share_that_is_over_is_not_used(self) -> None:
        """Revoked, by its owner only, or expired."""
        self.write(lambda rows: rows.shares.create(share("a"), share("b", expires=2_000.0)))
        assert not self.write(lambda rows: rows.shares.use("s-b", 2_000.0))
        assert self.write(lambda rows: rows.shares.use("s-b", 1_999.0))
        assert not self.write(lambda rows: rows.shares.revoke("s-a", 1_500.0, owner="bob1"))
        assert self.write(lambda rows: rows.shares.revoke("s-a", 1_500.0, owner="ann1"))
        assert not self.write(lambda rows: rows.shares.use("s-a", 1_501.0))
        assert self.read(lambda rows: rows.shares.revoked_since(1_500.0)) == ["s-a"]
        assert self.write(lambda rows: rows.shares.prune(1_999.0)) == 1
        assert [found.id for found in self.read(lambda rows: rows.shares.list())] == ["s-b"]

    def test_usage_adds_up(self) -> None:
        """Per token and month; beyond 32 bits."""
        for _ in range(2):
            self.write(
                lambda rows: rows.usage.add(
                    [
                        UsageRecord("b", "2026-11", 1, 2**40, 7),
                        UsageRecord("a", "2026-11", 5),
                        UsageRecord("a", "2026-12"),
                    ]
                )
            )
        self.write(lambda rows: rows.usage.add([]))
        assert self.read(lambda rows: rows.usage.of("b", "2026-11")) == UsageRecord("b", "2026-11", 2, 2**41, 14)
        assert self.read(lambda rows: rows.usage.of("b", "2026-10")) == UsageRecord("b", "2026-10")
        assert [found.requests for found in self.read(lambda rows: rows.usage.list("2026-11"))] == [10, 2]

    def test_the_audit_log_is_bounded(self) -> None:
        """In number, in age, and in what a stranger may write into it."""
        made = [RefusalRecord(float(at), "scope-names", "192.0.2.7", "x" * 600 + "\0") for at in range(20)]
        self.write(lambda rows: rows.audit.add([*made, RefusalRecord(20.0, "bad-token", "a\0b", "")]))
        newest, *others = self.read(lambda rows: rows.audit.list())
        assert (newest.rule, newest.whom) == ("bad-token", "a\ufffdb")
        assert {len(found.what) for found in others} == {512}
        assert [found.at for found in self.read(lambda rows: rows.audit.list(before=newest.id, most=2))] == [19.0, 18.0]
        assert self.write(lambda rows: rows.audit.prune(0.0, most=10)) == 11
        assert self.write(lambda rows: rows.audit.prune(15.0, most=10)) == 4
        assert len(self.read(lambda rows: rows.audit.list())) == 6
