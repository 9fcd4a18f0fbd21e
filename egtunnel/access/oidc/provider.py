"""What is known of a provider (OpenID Connect Discovery): fetched when it is wanted, and again when it is old."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from egtunnel.access.fetching import FetchError, check_url
from egtunnel.access.oidc.limits import LoginLimits
from egtunnel.guard import AccessError

__all__ = ["Metadata", "Provider", "read_metadata"]

WELL_KNOWN = "/.well-known/openid-configuration"


@attrs.frozen
class Metadata:
    """``authorize``: where browsers are sent, ``token``: where codes are exchanged, ``keys``: where the keys are.

    ``basic``: the client's secret goes into a header, else into the form. ``names_issuer``: the way back says who
    sends the visitor (RFC 9207).
    """

    authorize: str
    token: str
    keys: str
    basic: bool = True
    names_issuer: bool = False


def read_metadata(issuer: str, document: dict[str, Any]) -> Metadata:
    """What a provider says of itself. Raises FetchError."""
    if document.get("issuer") != issuer:
        raise FetchError("the provider calls itself by another name than --oidc-issuer")
    try:
        urls = [
            check_url("oidc", document.get(name)) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
        ]
    except AccessError:
        raise FetchError("the provider names no good addresses") from None
    methods = document.get("token_endpoint_auth_methods_supported")
    basic = not isinstance(methods, list) or "client_secret_basic" in methods or "client_secret_post" not in methods
    named = document.get("authorization_response_iss_parameter_supported") is True
    return Metadata(urls[0], urls[1], urls[2], basic, named)


class Provider:
    """One provider. Whatever visitors do, it is asked seldom, and once for all who wait."""

    def __init__(
        self,
        issuer: str,
        fetch: Callable[[str], Deferred[dict[str, Any]]],
        now: Callable[[], float],
        limits: LoginLimits,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._now = now
        self._limits = limits
        self._known: Metadata | None = None
        self._fetched = self._tried = float("-inf")
        self._waiting: list[Deferred[Metadata]] | None = None

    def metadata(self) -> Deferred[Metadata]:
        """What is known; fails with FetchError."""
        now = self._now()
        if self._known is not None and now - self._fetched < self._limits.fresh:
            return succeed(self._known)
        if self._waiting is None and now - self._tried < self._limits.again:
            return self._kept()
        answer: Deferred[Metadata] = Deferred()
        if self._waiting is not None:
            self._waiting.append(answer)
            return answer
        self._tried, self._waiting = now, [answer]
        asked = self._fetch(self._issuer.rstrip("/") + WELL_KNOWN)
        asked.addCallbacks(self._take, self._away).addBoth(self._over)
        return answer

    def _take(self, document: dict[str, Any]) -> None:
        try:
            self._known, self._fetched = read_metadata(self._issuer, document), self._now()
        except FetchError:
            self._known = None  # it has become another one: what was known is no longer true
            raise

    def _away(self, reason: Failure) -> None:
        reason.trap(FetchError)

    def _over(self, result: object) -> None:
        waiting, self._waiting = self._waiting or [], None
        for answer in waiting:
            if not answer.called:  # not cancelled
                (fail(result) if isinstance(result, Failure) else self._kept()).chainDeferred(answer)

    def _kept(self) -> Deferred[Metadata]:
        if self._known is not None and self._now() - self._fetched < self._limits.kept:
            return succeed(self._known)
        return fail(FetchError("the provider cannot be asked"))
