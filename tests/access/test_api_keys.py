"""Keys that visitors show, of which the relay knows digests."""

from __future__ import annotations

import hashlib

import pytest

from egtunnel.access.api_keys import api_keys, bearer
from egtunnel.access.limits import AccessLimits
from egtunnel.guard import AccessError, Asked, Denial
from egtunnel.interfaces import Visitor

LIMITS = AccessLimits()
WEB = Visitor("http", "192.0.2.7", 4711, "app")
KEYS = ("first-key-0123456789", "other-key-0123456789")
RULE = api_keys([hashlib.sha256(key.encode()).hexdigest() for key in KEYS], LIMITS)


def asked(*fields: tuple[str, str]) -> Asked:
    """A request with these headers."""
    return Asked(b"GET", b"/", fields=[(name.encode(), value.encode()) for name, value in fields])


@pytest.mark.parametrize("key", KEYS)
def test_any_of_the_keys_opens_and_does_not_go_on(key: str) -> None:
    """In either header; only the one that was used is taken out."""
    request = asked(("X-API-Key", key), ("Authorization", "Bearer of-the-service"))
    assert RULE.judge(request, WEB) is None and request.withheld == {b"x-api-key"}
    request = asked(("authorization", f"bearer  {key} "))
    assert RULE.judge(request, WEB) is None and request.withheld == {b"authorization"}


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("X-API-Key", ""),),
        (("X-API-Key", "wrong-key"),),
        (("X-API-Key", KEYS[0] + "x"),),
        (("X-API-Key", KEYS[0]), ("X-API-Key", KEYS[0])),
        (("X-API-Key", "wrong-key"), ("Authorization", f"Bearer {KEYS[0]}")),
        (("Authorization", KEYS[0]),),
        (("Authorization", f"Basic {KEYS[0]}"),),
        (("Authorization", f"Bearer {KEYS[0]}"), ("Authorization", f"Bearer {KEYS[0]}")),
        (("X-API-Key", "k" * 5000),),
    ],
)
def test_anything_else_is_asked_for_a_key(fields: tuple[tuple[str, str], ...]) -> None:
    """401, and nothing is taken out."""
    request = asked(*fields)
    denial = RULE.judge(request, WEB)
    assert isinstance(denial, Denial) and (denial.status, denial.word) == (401, "key-wanted")
    assert dict(denial.fields)[b"WWW-Authenticate"] == b"Bearer"
    assert not request.withheld


def test_without_http_there_is_no_key() -> None:
    """A rule for requests lets no other connection in."""
    assert not RULE.admits(Visitor("tcp", "192.0.2.7", 4711, "20000"))


@pytest.mark.parametrize("value", [[], "x", ["x"], ["A" * 64], ["0" * 63], [hashlib.sha256(b"k").digest()], None])
def test_what_is_no_list_of_digests_is_refused(value: object) -> None:
    """A key itself, too: it has no business here."""
    with pytest.raises(AccessError):
        api_keys(value, LIMITS)


def test_there_are_so_many_keys_at_most() -> None:
    """And no more."""
    digests = [f"{number:064x}" for number in range(LIMITS.keys + 1)]
    api_keys(digests[:-1], LIMITS)
    with pytest.raises(AccessError):
        api_keys(digests, LIMITS)


def test_all_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However early one fits."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("egtunnel.access.api_keys.hmac.compare_digest", compare)
    for key in (*KEYS, "none-of-them"):
        compared.clear()
        RULE.judge(asked(("X-API-Key", key)), WEB)
        assert len(compared) == len(KEYS)


def test_one_bearer_token_is_read() -> None:
    """RFC 6750 section 2.1."""
    assert bearer(asked(("Authorization", "Bearer abc"))) == b"abc"
    assert bearer(asked(("Authorization", "Bearer "))) is None
    assert bearer(asked()) is None
