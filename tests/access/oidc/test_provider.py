"""What is known of a provider, and how seldom it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from egtunnel.access.fetching import FetchError
from egtunnel.access.oidc.limits import LoginLimits
from egtunnel.access.oidc.provider import Metadata, Provider, read_metadata

ISSUER = "https://login.example.com/realm"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://login.example.com/auth",
    "token_endpoint": "https://login.example.com/token",
    "jwks_uri": "https://keys.example.com/",
}
KNOWN = Metadata("https://login.example.com/auth", "https://login.example.com/token", "https://keys.example.com/")


class World:
    """A provider whose answers a test gives."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[str, Deferred[dict[str, Any]]]] = []
        self.provider = Provider(ISSUER, self._fetch, self.clock.seconds, LoginLimits())

    def _fetch(self, url: str) -> Deferred[dict[str, Any]]:
        self.asked.append((url, Deferred()))
        return self.asked[-1][1]

    def get(self) -> list[Any]:
        """What comes of a question, once it does."""
        found: list[Any] = []
        self.provider.metadata().addBoth(found.append)
        return found


def failed(found: list[Any]) -> bool:
    return len(found) == 1 and isinstance(found[0], Failure) and bool(found[0].check(FetchError))


def test_it_is_asked_once_for_all() -> None:
    """And for an hour."""
    world = World()
    first, second = world.get(), world.get()
    ((url, answer),) = world.asked
    assert url == ISSUER + "/.well-known/openid-configuration"
    answer.callback(DOCUMENT)
    assert first == second == world.get() == [KNOWN]
    world.clock.advance(3_599)
    assert world.get() == [KNOWN] and len(world.asked) == 1
    world.clock.advance(1)
    assert world.get() == [] and len(world.asked) == 2


def test_while_it_is_away_what_was_known_is_good() -> None:
    """For a day."""
    world = World()
    world.get()
    world.asked[0][1].callback(DOCUMENT)
    world.clock.advance(3_600)
    late = world.get()
    world.asked[1][1].errback(FetchError("away"))
    assert late == [KNOWN] and world.get() == [KNOWN]
    world.clock.advance(86_400)
    last = world.get()
    world.asked[2][1].errback(FetchError("away"))
    assert failed(last)


def test_it_is_not_asked_again_at_once() -> None:
    """However many visitors come."""
    world = World()
    first = world.get()
    world.asked[0][1].errback(FetchError("away"))
    assert failed(first) and failed(world.get()) and len(world.asked) == 1
    world.clock.advance(5)
    world.get()
    assert len(world.asked) == 2


def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    """The question goes on."""
    world = World()
    left = world.provider.metadata()
    left.addErrback(lambda reason: None)
    stays = world.get()
    left.cancel()
    world.asked[0][1].callback(DOCUMENT)
    assert stays == [KNOWN]


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://login.example.com"},
        {"issuer": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://login.example.com/auth"},
        {"token_endpoint": None},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "https://a b/"},
        {"jwks_uri": ["https://keys.example.com/"]},
    ],
)
def test_documents_that_cannot_be_used(changes: dict[str, Any]) -> None:
    """Of another issuer, or with addresses that are none."""
    with pytest.raises(FetchError):
        read_metadata(ISSUER, DOCUMENT | changes)


@pytest.mark.parametrize(
    ("methods", "basic"),
    [
        (["client_secret_post"], False),
        (["client_secret_basic", "client_secret_post"], True),
        (["private_key_jwt"], True),
        ("x", True),
    ],
)
def test_how_the_secret_is_shown(methods: Any, basic: bool) -> None:
    """In a header, unless the provider wants it in the form."""
    assert read_metadata(ISSUER, DOCUMENT | {"token_endpoint_auth_methods_supported": methods}).basic is basic
