"""The client's options about who may use a tunnel."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from twisted.python.usage import UsageError

from egtunnel.client.offers import Offer
from egtunnel.client.tap import Options
from egtunnel.errors import ConfigurationError

HASH = "$2b$04$" + "a" * 53
KEY = "a-key-of-some-length"


def offers(*arguments: str) -> list[Offer]:
    """What a command line asks for."""
    options = Options()
    local = [] if "--config" in arguments else ["--local", "8080"]
    options.parseOptions([*local, "--token", "x", *arguments])
    return options.offers


def access(*arguments: str) -> dict[str, Any]:
    """The rules in the claim of the one tunnel that a command line asks for."""
    (offer,) = offers(*arguments)
    return offer.claim(1).access


def test_without_them_a_tunnel_is_open() -> None:
    """And the claim has no rules."""
    assert access() == {}


def test_each_option_may_be_given_several_times(tmp_path: Path) -> None:
    """The claim has hashes only; comments and empty lines of a file are none of them."""
    users, keys = tmp_path / "users", tmp_path / "keys"
    users.write_text(f"# who may come\n\nann:{HASH}\n bob:{HASH} \n")
    keys.write_text(f"{KEY}\n# of the build\n{KEY}-2\n{KEY}\n")
    found = access(
        "--allow", "10.0.0.0/8", "--allow", "Private", "--deny", "10.0.0.1", "--basic", f"ali:{HASH}",
        "--basic-file", str(users), "--api-key", str(keys),
    )  # fmt: skip
    assert found == {
        "allow": ["10.0.0.0/8", "private"],
        "deny": ["10.0.0.1"],
        "basic": {"ali": HASH, "ann": HASH, "bob": HASH},
        "api-keys": [hashlib.sha256(key.encode()).hexdigest() for key in (KEY, f"{KEY}-2")],
    }
    assert KEY not in json.dumps(found)


def test_rules_are_not_shown_where_an_offer_is(tmp_path: Path) -> None:
    """Hashes are no secret, and yet nobody's business."""
    (offer,) = offers("--basic", f"ali:{HASH}")
    assert HASH not in repr(offer)


def test_tables_of_the_file_have_rules_of_their_own(tmp_path: Path) -> None:
    """Each tunnel its own; the other is open."""
    file = tmp_path / "client.toml"
    file.write_text(
        '[[tunnel]]\nlocal = "8080"\nallow = ["loopback", "192.0.2.0/24"]\n'
        '[[tunnel]]\nlocal = "22"\ntcp = 20022\ndeny = "192.0.2.7"\n[[tunnel]]\nlocal = "8081"\n'
    )
    found = [offer.claim(1).access for offer in offers("--config", str(file))]
    assert found == [{"allow": ["loopback", "192.0.2.0/24"]}, {"deny": ["192.0.2.7"]}, {}]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--allow", "home"),
        ("--deny", "10.0.0.1/8"),
        ("--basic", "ali"),
        ("--basic", "ali:open sesame"),
        ("--basic", f":{HASH}"),
        ("--basic-file", "/nonexistent"),
        ("--api-key", "/nonexistent"),
        ("--jwt-jwks", "keys.json"),
        ("--jwt-jwks", "https://login.test/keys"),
        ("--jwt-issuer", "https://login.test"),
        ("--tcp", "0", "--basic", f"ali:{HASH}"),
    ],
)
def test_what_cannot_be_is_said_at_start(arguments: tuple[str, ...]) -> None:
    """With the option, and never with the password that somebody gave instead of its hash."""
    with pytest.raises((ConfigurationError, UsageError)) as caught:
        offers(*arguments)
    assert arguments[-2] in str(caught.value)
    assert "open sesame" not in str(caught.value)


def test_tokens_of_an_issuer() -> None:
    """All three are needed."""
    words = ("--jwt-jwks", "https://login.test/keys", "--jwt-issuer", "https://login.test", "--jwt-audience", "app")
    assert access(*words) == {
        "jwt": {"jwks": "https://login.test/keys", "issuer": "https://login.test", "audience": "app"}
    }


def test_a_user_is_named_once() -> None:
    """Which of two passwords would hold?"""
    with pytest.raises(UsageError, match="'ali' is there twice"):
        offers("--basic", f"ali:{HASH}", "--basic", f"ali:{HASH}")


@pytest.mark.parametrize(
    "content", [b"", b"# nothing\n", b"short\n", b"a key with blanks\n", b"\xff" * 20, b"k" * 2000]
)
def test_a_file_without_a_proper_key_is_refused(content: bytes, tmp_path: Path) -> None:
    """An empty one would open the tunnel."""
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises((ConfigurationError, UsageError), match="--api-key"):
        offers("--api-key", str(file))


def test_all_rules_together_are_bounded(tmp_path: Path) -> None:
    """As the relay bounds them: it would refuse the claim."""
    users = tmp_path / "users"
    users.write_text("".join(f"user-{number}:{HASH}\n" for number in range(1000)))
    with pytest.raises((ConfigurationError, UsageError), match="too many"):
        offers("--basic-file", str(users))
