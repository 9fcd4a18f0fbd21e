"""The steps of a login (OpenID Connect Core, section 3.1; PKCE, RFC 7636): addresses and forms. Pure."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qsl, quote_plus, urlencode

import attrs

from egtunnel.access.oidc.errors import LoginError
from egtunnel.access.oidc.provider import Metadata
from egtunnel.access.oidc.settings import LoginSettings

__all__ = ["CALLBACK", "LOGOUT", "Back", "authorization_url", "read_back", "token_request"]

CALLBACK = b"/.egtunnel/oidc/callback"
LOGOUT = b"/.egtunnel/logout"
LONGEST_CODE = 4_096
MOST = 20


@attrs.frozen
class Back:
    """What a browser brings back from the provider. ``issuer``: who says so; empty: not said."""

    code: str = attrs.field(repr=False)
    state: str
    issuer: str = ""


def authorization_url(
    known: Metadata, settings: LoginSettings, *, back: str, state: str, nonce: str, verifier: str
) -> str:
    """Where a browser goes for a login; the verifier itself stays here, only its digest goes along."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "response_type": "code",
        "client_id": settings.client,
        "redirect_uri": back,
        "scope": settings.scopes,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{known.authorize}{'&' if '?' in known.authorize else '?'}{urlencode(query)}"


def read_back(query: bytes) -> Back:
    """What the query of the way back says. Raises LoginError."""
    try:
        pairs = parse_qsl(query.decode("ascii"), max_num_fields=MOST, keep_blank_values=True)
    except ValueError:
        raise LoginError("this is no answer of a login provider") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise LoginError("this is no answer of a login provider")
    if "error" in found:
        raise LoginError("the login provider says that you are not logged in")
    code, state = found.get("code", ""), found.get("state", "")
    if not code or not state or len(code) > LONGEST_CODE:
        raise LoginError("this is no answer of a login provider")
    return Back(code, state, found.get("iss", ""))


def token_request(
    known: Metadata, settings: LoginSettings, *, back: str, code: str, verifier: str
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Header fields and form that exchange a code (RFC 6749 section 4.1.3)."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
    fields = [(b"Content-Type", b"application/x-www-form-urlencoded")]
    if settings.secret and known.basic:
        pair = f"{quote_plus(settings.client)}:{quote_plus(settings.secret)}".encode()
        fields.append((b"Authorization", b"Basic " + base64.b64encode(pair)))
    else:
        form["client_id"] = settings.client
        if settings.secret:
            form["client_secret"] = settings.secret
    return fields, urlencode(form).encode("ascii")
