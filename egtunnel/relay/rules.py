"""All rules for visitors that a relay knows, by their names in a claim (docs/protocol.md, "Access rules")."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from egtunnel.access.api_keys import api_keys
from egtunnel.access.basic import basic
from egtunnel.access.fetching import Fetcher, Networks
from egtunnel.access.hashing import Hashing, in_threads
from egtunnel.access.jwt_tokens import jwt_tokens
from egtunnel.access.key_sets import KeySets
from egtunnel.access.limits import AccessLimits
from egtunnel.access.networks import allow, deny
from egtunnel.guard import AccessError, IGuard
from egtunnel.relay.guards import Guards, Maker, Post

__all__ = ["rules"]

Wall = Callable[[], float]


def rules(reactor: Any, limits: AccessLimits, fetch_from: Networks = (), wall: Wall = time.time) -> Guards:
    """The table of a relay's rules, in the order in which they are asked: what is cheap and shows nothing first.

    :param fetch_from: networks from which keys of issuers may be fetched, besides public addresses.
    """
    hashing = Hashing(in_threads(reactor), limits)
    sets = KeySets(Fetcher(reactor, limits, fetch_from), reactor.seconds, limits)
    return Guards(
        {
            "deny": lambda value, post: deny(value, limits),
            "allow": lambda value, post: allow(value, limits),
            "basic": _web("basic", lambda value, post: basic(value, hashing, reactor.seconds, limits)),
            "api-keys": _web("api-keys", lambda value, post: api_keys(value, limits)),
            "jwt": _web("jwt", lambda value, post: jwt_tokens(value, sets, wall, limits)),
        }
    )


def _web(name: str, make: Callable[[Any, Post], IGuard]) -> Maker:
    """A rule that reads requests."""

    def checked(value: Any, post: Post) -> IGuard:
        if post.kind != "http":
            raise AccessError(f"{name} is a rule for HTTP: a TCP tunnel has allow and deny")
        return make(value, post)

    return checked
