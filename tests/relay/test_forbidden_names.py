"""Names that nobody gets, and the options about tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from egtunnel.relay.claims import ClaimLimits
from egtunnel.relay.names import candidates
from egtunnel.relay.tap import Options
from tests.relay.house import House, HouseLimits


def house(*forbidden: str) -> House:
    """A relay that keeps these back."""
    return House(HouseLimits(claims=ClaimLimits(forbidden=forbidden)))


def test_nobody_gets_a_forbidden_name_or_host() -> None:
    """However it is written."""
    client = house("bank*", "*.bank.example").client()
    for name in ("bank", "BANK-login", "bank."):
        refusal = client.refused(1, name=name)
        assert (refusal.code, refusal.retry) == ("forbidden-name", False)
        assert name.lower().rstrip(".") in refusal.text
    assert client.refused(1, host="www.Bank.Example").code == "forbidden-name"
    assert client.claim(1, name="my-bank").name == "my-bank"
    assert client.claim(2, host="www.my-bank.example").name == "www.my-bank.example"


def test_the_relay_does_not_choose_a_forbidden_name_itself() -> None:
    """It takes the next of its candidates."""
    first, second = [name for name, _ in zip(candidates("one", "key"), range(2), strict=False)]
    assert house().client().claim(1, key="key").name == first
    assert house(first).client().claim(1, key="key").name == second


def options(*arguments: str) -> Options:
    """What egrelay makes of its command line."""
    read = Options()
    read.parseOptions(list(arguments))
    return read


def test_the_address_of_a_store_is_never_repeated() -> None:
    """It may hold a password, and errors of options end in logs."""
    for address in ("mysql://user:hush@host/db", "postgresql://user:hush@host:x/db", "hush", "sqlite://hush/x?y"):
        with pytest.raises(UsageError) as error:
            options("--store", address)
        assert "hush" not in str(error.value) and "--store" in str(error.value)


def test_a_store_is_a_file_or_a_url(tmp_path: Path) -> None:
    """``sqlite``: in the state folder."""
    assert options().settings.store is None
    own = options("--state", str(tmp_path), "--store", "sqlite").settings.store
    assert own is not None and own.file == tmp_path / "store.sqlite3"
    far = options("--store", "postgresql://me:hush@db.example.com/e").settings.store
    assert far is not None and "hush" not in far.shown


@pytest.mark.parametrize("pattern", ["", "a b", "ä*", "a/b", "[a-z]", "x" * 254])
def test_what_cannot_be_a_name_is_no_pattern(pattern: str) -> None:
    """Said at the start."""
    with pytest.raises(UsageError, match="--forbid-name"):
        options("--forbid-name", pattern)
