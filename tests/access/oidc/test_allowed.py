"""Who may come in after a login."""

from __future__ import annotations

from typing import Any

import pytest

from egtunnel.access.oidc.allowed import Allowed, Person, read_allowed, read_person
from egtunnel.guard import AccessError

ADA = Person("1", "ada@example.com", ("staff",))


@pytest.mark.parametrize(
    ("entries", "allowed"),
    [
        (["*"], True),
        (["ada@example.com"], True),
        (["Ada@Example.COM"], True),
        (["@example.com"], True),
        (["@EXAMPLE.com"], True),
        (["group:staff"], True),
        (["subject:1"], True),
        (["eve@example.com", "group:staff"], True),
        (["eve@example.com", "@example.org", "group:Staff", "subject:2"], False),
        (["@xample.com"], False),
        (["@com"], False),
        (["@sub.example.com"], False),
        (["da@example.com"], False),
        (["group:1", "subject:staff"], False),
    ],
)
def test_who_is_allowed(entries: list[str], allowed: bool) -> None:
    """Whole addresses, whole domains, whole names."""
    assert read_allowed(entries).holds(ADA) is allowed


def test_nobody_is_allowed_by_what_is_missing() -> None:
    """A person without an address is in no domain, not even an empty one."""
    assert not Allowed(domains=frozenset([""]), emails=frozenset([""])).holds(Person("1"))
    assert not Allowed().holds(ADA)


@pytest.mark.parametrize(
    "entry", ["", "ada", "@", "a@b@c", "group:", "subject:", "a b@c", "a@b,c@d", "**", "ad\u00e4@b"]
)
def test_what_says_nothing(entry: str) -> None:
    """Refuses the rule."""
    with pytest.raises(AccessError):
        read_allowed(["ada@example.com", entry])


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({"email": "Ada@Example.com", "email_verified": True}, "ada@example.com"),
        ({"email": "ada@example.com", "email_verified": "true"}, "ada@example.com"),
        ({"email": "ada@example.com"}, ""),
        ({"email": "ada@example.com", "email_verified": False}, ""),
        ({"email": "ada@example.com", "email_verified": "false"}, ""),
        ({"email": "ada@example.com", "email_verified": 1}, ""),
        ({"email": "eve@example.org@example.com", "email_verified": True}, ""),
        ({"email": "eve@example.org,ada@example.com", "email_verified": True}, ""),
        ({"email": ["ada@example.com"], "email_verified": True}, ""),
        ({}, ""),
    ],
)
def test_an_address_counts_if_it_is_verified(claims: dict[str, Any], email: str) -> None:
    """Else anybody could give it to a provider that does not look."""
    assert read_person({"sub": "1", **claims}).email == email


@pytest.mark.parametrize(
    ("groups", "found"),
    [(["a", "b"], ("a", "b")), ("a", ("a",)), (["a", 1, None, "x" * 300], ("a",)), (None, ()), ({"a": 1}, ())],
)
def test_groups(groups: Any, found: tuple[str, ...]) -> None:
    """A list of texts, or one."""
    assert read_person({"sub": "1", "groups": groups}).groups == found


def test_a_cookie_holds_only_groups_that_matter() -> None:
    """It has to fit into a header."""
    person = Person("1", groups=tuple(str(number) for number in range(1_000)))
    allowed = Allowed(groups=frozenset(["999", "5", "no"]))
    assert allowed.known_of(person).groups == ("5", "999")
