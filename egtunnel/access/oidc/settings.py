"""What a claim says of the rule ``oidc``. Pure."""

from __future__ import annotations

import re
from typing import Any

import attrs

from egtunnel.access.fetching import check_url
from egtunnel.access.oidc.allowed import Allowed, read_allowed
from egtunnel.access.oidc.limits import LoginLimits
from egtunnel.access.values import members, texts
from egtunnel.guard import AccessError

__all__ = ["LoginSettings", "read_settings"]

LONGEST = 512
SECRET = 2_048
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")  # RFC 6749 section 3.3


@attrs.frozen
class LoginSettings:
    """``issuer``: of the provider, as it calls itself. ``secret`` is empty for a client without one."""

    issuer: str
    client: str
    secret: str = attrs.field(repr=False)
    allowed: Allowed
    scopes: str


def read_settings(value: Any, limits: LoginLimits) -> LoginSettings:
    """What a claim says. Raises AccessError, which repeats no secret."""
    names = ("issuer", "client_id", "client_secret", "allow", "scopes")
    issuer, client, secret, allow, scopes = members("oidc", value, names)
    check_url("oidc", issuer)
    if "?" in issuer:
        raise AccessError("oidc: an issuer has no query")
    if not isinstance(client, str) or not 0 < len(client) <= LONGEST or not _plain(client):
        raise AccessError(f"oidc: client_id is 1 to {LONGEST} characters of ASCII")
    if not isinstance(secret, str) or len(secret) > SECRET or not _plain(secret):
        raise AccessError(f"oidc: client_secret is at most {SECRET} characters of ASCII")
    more = texts("oidc", scopes, limits.scopes) if scopes != [] else []
    if not all(_SCOPE.fullmatch(scope) for scope in more):
        raise AccessError("oidc: a scope is one word")
    allowed = read_allowed(texts("oidc", allow, limits.allowed))
    return LoginSettings(issuer, client, secret, allowed, " ".join(dict.fromkeys(["openid", "email", *more])))


def _plain(text: str) -> bool:
    return text.isascii() and (not text or text.isprintable())
