"""All rules for visitors that a relay knows, by their names in a claim (docs/protocol.md, "Access rules")."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from egtunnel.access.api_keys import api_keys
from egtunnel.access.basic import basic
from egtunnel.access.certificates import visitor_ca
from egtunnel.access.fetching import Fetcher
from egtunnel.access.hashing import Hashing, in_threads
from egtunnel.access.interstitial import Interstitial
from egtunnel.access.jwt_tokens import jwt_tokens
from egtunnel.access.key_sets import KeySets
from egtunnel.access.keys import cookie_key
from egtunnel.access.networks import allow, deny
from egtunnel.access.oidc.rule import Surroundings, oidc
from egtunnel.access.oidc.sealed import Seal
from egtunnel.access.webhook import webhook
from egtunnel.errors import ConfigurationError
from egtunnel.guard import AccessError, IGuard
from egtunnel.relay.guards import Guards, Maker, Post
from egtunnel.relay.limiter import IQuotas
from egtunnel.relay.limiting import Limiting
from egtunnel.relay.settings import RelaySettings
from egtunnel.relay.sharing import Sharing
from egtunnel.sharing.private import private

__all__ = ["rules"]


def rules(
    reactor: Any,
    settings: RelaySettings,
    sharing: Sharing,
    quotas: IQuotas | None = None,
    wall: Callable[[], float] = time.time,
) -> Guards:
    """The table of a relay's rules, in the order in which they are asked: what is cheap and shows nothing first."""
    limits, run = settings.limits.access, in_threads(reactor)
    hashing = Hashing(run, limits)
    fetcher = Fetcher(reactor, limits, settings.fetch_from)
    sets = KeySets(fetcher, reactor.seconds, limits)
    seal = cache(partial(_seal, settings.state))
    logins = Surroundings(fetcher, sets, seal, reactor.seconds, wall, limits.leeway, settings.limits.login)
    return Guards(
        {
            "deny": lambda value, post: deny(value, limits),
            "allow": lambda value, post: allow(value, limits),
            "private": _web("private", lambda value, post: private(value, sharing.book, sharing.keys)),
            "visitor-ca": _web("visitor-ca", lambda value, post: visitor_ca(value)),
            "basic": _web("basic", lambda value, post: basic(value, hashing, reactor.seconds, limits)),
            "api-keys": _web("api-keys", lambda value, post: api_keys(value, limits)),
            "jwt": _web("jwt", lambda value, post: jwt_tokens(value, sets, wall, limits)),
            "oidc": _web("oidc", lambda value, post: oidc(value, post.name, logins)),
            "webhook": _web("webhook", lambda value, post: webhook(value, run, wall, settings.limits.webhook)),
        },
        Limiting(reactor, settings.limits.tunnel, settings.workers, quotas),
        Interstitial() if settings.interstitial else None,
    )


def _seal(state: Path) -> Seal:
    """By the key in the state folder, which is the same for all processes of a relay, and after its restart."""
    try:
        return Seal(cookie_key(state))
    except ConfigurationError as error:
        raise AccessError(f"oidc: {error.text}") from None


def _web(name: str, make: Callable[[Any, Post], IGuard]) -> Maker:
    """A rule that reads requests."""

    def checked(value: Any, post: Post) -> IGuard:
        if post.kind != "http":
            raise AccessError(f"{name} is a rule for HTTP: a tunnel of kind {post.kind} has allow and deny")
        return make(value, post)

    return checked
