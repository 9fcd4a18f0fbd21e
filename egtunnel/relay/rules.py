"""All rules for visitors that a relay knows, by their names in a claim (docs/protocol.md, "Access rules")."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from egtunnel.access.api_keys import api_keys
from egtunnel.access.basic import basic
from egtunnel.access.fetching import Fetcher
from egtunnel.access.hashing import Hashing, in_threads
from egtunnel.access.jwt_tokens import jwt_tokens
from egtunnel.access.key_sets import KeySets
from egtunnel.access.networks import allow, deny
from egtunnel.access.webhook import webhook
from egtunnel.guard import AccessError, IGuard
from egtunnel.relay.guards import Guards, Maker, Post
from egtunnel.relay.settings import RelaySettings

__all__ = ["rules"]


def rules(reactor: Any, settings: RelaySettings, wall: Callable[[], float] = time.time) -> Guards:
    """The table of a relay's rules, in the order in which they are asked: what is cheap and shows nothing first."""
    limits, run = settings.limits.access, in_threads(reactor)
    hashing = Hashing(run, limits)
    sets = KeySets(Fetcher(reactor, limits, settings.fetch_from), reactor.seconds, limits)
    return Guards(
        {
            "deny": lambda value, post: deny(value, limits),
            "allow": lambda value, post: allow(value, limits),
            "basic": _web("basic", lambda value, post: basic(value, hashing, reactor.seconds, limits)),
            "api-keys": _web("api-keys", lambda value, post: api_keys(value, limits)),
            "jwt": _web("jwt", lambda value, post: jwt_tokens(value, sets, wall, limits)),
            "webhook": _web("webhook", lambda value, post: webhook(value, run, wall, settings.limits.webhook)),
        }
    )


def _web(name: str, make: Callable[[Any, Post], IGuard]) -> Maker:
    """A rule that reads requests."""

    def checked(value: Any, post: Post) -> IGuard:
        if post.kind != "http":
            raise AccessError(f"{name} is a rule for HTTP: a TCP tunnel has allow and deny")
        return make(value, post)

    return checked
