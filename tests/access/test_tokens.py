"""Tokens: their shape, what is kept of them, and who is told what is wrong."""

from __future__ import annotations

import ast
import inspect

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egtunnel.access import tokens
from egtunnel.errors import Refused
from egtunnel.store.records import TokenRecord

NEW = tokens.new_token()
GOOD = TokenRecord(NEW.id, NEW.digest, "ann", "laptop", {}, 0.0)
NOW = 1_000.0


def test_a_token_has_its_shape_and_its_secret_is_nowhere_else() -> None:
    """``eg_<id>_<secret>``; neither the value's repr nor the record tells the secret."""
    word, name, secret = NEW.text.split("_")
    assert (word, name, len(secret)) == ("eg", NEW.id, 43)
    assert tokens.split(NEW.text) == (NEW.id, NEW.digest)
    assert secret not in repr(NEW) + repr(GOOD)
    assert len({tokens.new_token().text for _ in range(100)}) == 100


@given(st.integers(0, 2**256 - 1))
def test_every_secret_of_32_bytes_has_its_own_text(number: int) -> None:
    """43 letters of 62 are enough: the bytes can be read back."""
    secret = tokens.spelled(number.to_bytes(32))
    assert sum(tokens.ALPHABET.index(letter) * 62**place for place, letter in enumerate(secret)) == number


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t + "a", lambda t: t + "\n", lambda t: "EG" + t[2:]])
def test_what_has_another_shape_is_no_token(spoil: object) -> None:
    """One letter less, one more, a line end, another word."""
    assert callable(spoil)
    assert tokens.is_token(NEW.text)
    assert not tokens.is_token(spoil(NEW.text))
    assert tokens.split(spoil(NEW.text)) is None


@given(st.text(max_size=80))
def test_any_text_can_be_asked_about(text: str) -> None:
    """What a stranger sends raises nothing."""
    assert tokens.split(text) is None or text.startswith("eg_")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revoked": 1.0}, "token-revoked"),
        ({"disabled": 1.0}, "owner-disabled"),
        ({"expires": NOW}, "token-expired"),
    ],
)
def test_who_knows_the_secret_hears_what_is_wrong(changes: dict[str, float], reason: str) -> None:
    """And who does not, only that the token is unknown."""
    record = attrs.evolve(GOOD, **changes)  # type: ignore[arg-type]
    with pytest.raises(Refused) as caught:
        tokens.check(record, NEW.digest, NOW)
    assert caught.value.reason == reason
    with pytest.raises(Refused) as caught:
        tokens.check(record, tokens.digest_of("wrong"), NOW)
    assert caught.value.reason == "bad-token"


def test_a_good_token_is_let_in() -> None:
    """Also one that expires a moment later."""
    assert tokens.check(GOOD, NEW.digest, NOW) is GOOD
    later = attrs.evolve(GOOD, expires=NOW + 0.001)
    assert tokens.check(later, NEW.digest, NOW) is later


@pytest.mark.parametrize("record", [None, attrs.evolve(GOOD, digest=tokens.digest_of("other"))])
def test_an_unknown_token_is_refused(record: TokenRecord | None) -> None:
    """No such id, or another secret."""
    with pytest.raises(Refused) as caught:
        tokens.check(record, NEW.digest, NOW)
    assert caught.value.reason == "bad-token"
    assert not caught.value.retry


def test_digests_meet_only_in_a_comparison_of_constant_time() -> None:
    """By construction: the function compares with compare_digest, once, before it asks anything else."""
    body = ast.parse(inspect.getsource(tokens.check)).body[0]
    assert isinstance(body, ast.FunctionDef)
    first = body.body[1]
    assert "compare_digest" in ast.unparse(first)
    compares = [ast.unparse(node) for node in ast.walk(body) if isinstance(node, ast.Compare)]
    assert not [text for text in compares if "digest" in text]


def test_the_digest_of_nobody_fits_no_secret() -> None:
    """An unknown id is compared with the hash of nothing, which has not the shape of a secret."""
    assert tokens.split(f"eg_{NEW.id}_") is None
