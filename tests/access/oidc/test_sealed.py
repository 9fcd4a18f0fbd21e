"""What a browser keeps for the relay."""

from __future__ import annotations

import pytest

from egtunnel.access.oidc.sealed import Seal

KEY = b"k" * 32
VALUE = {"sub": "ada@example.com", "until": 7}
CONTEXT = ("one.example.com", "one")


def test_it_comes_back() -> None:
    """Also to another process with the same key; no two texts are alike, and none shows what is in it."""
    sealed = Seal(KEY).close("session", CONTEXT, VALUE)
    assert Seal(KEY).open("session", CONTEXT, sealed) == VALUE
    assert sealed != Seal(KEY).close("session", CONTEXT, VALUE)
    assert "ada" not in sealed and sealed.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    ("key", "purpose", "context"),
    [
        (b"K" * 32, "session", CONTEXT),
        (KEY, "state", CONTEXT),
        (KEY, "session", ("two.example.com", "one")),
        (KEY, "session", ("one.example.com", "two")),
        (KEY, "session", ("one.example.comone",)),
        (KEY, "session", ("one.example.com", "one", "")),
        (KEY, "session", ()),
    ],
)
def test_it_opens_nowhere_else(key: bytes, purpose: str, context: tuple[str, ...]) -> None:
    """Not with another key, for something else, or on another host."""
    sealed = Seal(KEY).close("session", CONTEXT, VALUE)
    assert Seal(key).open(purpose, context, sealed) is None


def test_every_change_is_seen() -> None:
    """Each letter in turn, and whatever is cut off or put on."""
    seal = Seal(KEY)
    sealed = seal.close("session", CONTEXT, VALUE)
    changed = [sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :] for at in range(len(sealed))]
    changed += [sealed[:at] for at in range(len(sealed))]
    changed += [sealed + more for more in ("A", "AA", "AAAA", "=", "==", " ", "\n", "\u00e4")] + ["A" * 10_000]
    assert all(seal.open("session", CONTEXT, text) is None for text in changed)


def test_derived_texts() -> None:
    """Always the same for the same, and for nothing else."""
    texts = {
        Seal(key).derive(purpose, context)
        for key in (KEY, b"K" * 32)
        for purpose in ("nonce", "verifier")
        for context in (("a", "bc"), ("ab", "c"))
    }
    assert len(texts) == 8 and all(len(text) == 43 for text in texts)
    assert Seal(KEY).derive("nonce", CONTEXT) == Seal(KEY).derive("nonce", CONTEXT)
    assert Seal(KEY).random() != Seal(KEY).random()
