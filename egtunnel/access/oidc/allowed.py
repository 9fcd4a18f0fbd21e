"""Who may come in after a login, by address, domain, group or the provider's own name for a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from egtunnel.guard import AccessError

__all__ = ["Allowed", "Person", "read_allowed", "read_person"]

GROUP, SUBJECT = "group:", "subject:"
LONGEST = 255
GROUPS = 1_000
KEPT = 10
"""Groups of one person that go into a cookie."""


@attrs.frozen
class Person:
    """Who has logged in. ``email`` is empty if the provider does not say that it has verified the address."""

    subject: str
    email: str = ""
    groups: tuple[str, ...] = ()


@attrs.frozen
class Allowed:
    """``everybody`` whom the provider knows, or who is in one of the sets; addresses and domains in lower case."""

    everybody: bool = False
    emails: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()

    def holds(self, person: Person) -> bool:
        """Whether this person may come in."""
        return (
            self.everybody
            or person.subject in self.subjects
            or (bool(person.email) and self._knows(person.email))
            or not self.groups.isdisjoint(person.groups)
        )

    def known_of(self, person: Person) -> Person:
        """The person with those groups alone that matter here."""
        groups = tuple(group for group in person.groups if group in self.groups)[:KEPT]
        return attrs.evolve(person, groups=groups)

    def _knows(self, email: str) -> bool:
        return email in self.emails or email.partition("@")[2] in self.domains


def read_allowed(entries: Sequence[str]) -> Allowed:
    """Of ``*``, ``ada@example.com``, ``@example.com``, ``group:staff`` and ``subject:1234``. Raises AccessError."""
    emails, domains, groups, subjects = set[str](), set[str](), set[str](), set[str]()
    for entry in entries:
        if entry == "*":
            continue
        if entry.startswith(GROUP) and entry != GROUP:
            groups.add(entry.removeprefix(GROUP))
        elif entry.startswith(SUBJECT) and entry != SUBJECT:
            subjects.add(entry.removeprefix(SUBJECT))
        elif entry.startswith("@") and _is_email(f"x{entry}"):
            domains.add(entry[1:].lower())
        elif _is_email(entry):
            emails.add(entry.lower())
        else:
            raise AccessError(f"oidc: {entry[:80]!a} is not *, an address, @domain, group:NAME or subject:ID")
    return Allowed("*" in entries, *map(frozenset, (emails, domains, groups, subjects)))


def read_person(claims: Mapping[str, Any]) -> Person:
    """Who the claims of an ID token are about. An address that is not said to be verified could be anybody's."""
    email = claims.get("email")
    verified = claims.get("email_verified")
    good = isinstance(email, str) and _is_email(email) and (verified is True or verified == "true")
    groups = claims.get("groups")
    names = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    subject = claims.get("sub")
    return Person(
        subject if isinstance(subject, str) and len(subject) <= LONGEST else "",
        str(email).lower() if good else "",
        tuple(name for name in names[:GROUPS] if isinstance(name, str) and len(name) <= LONGEST),
    )


def _is_email(text: str) -> bool:
    """One @ with something on both sides of it, and nothing that could be read in another way."""
    name, _, domain = text.partition("@")
    plain = text.isascii() and text.isprintable() and not set(text) & set(" ,;<>\"'()\\")
    return bool(name) and bool(domain) and "@" not in domain and plain and len(text) <= LONGEST
