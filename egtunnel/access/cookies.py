"""The cookie of a share: signed, for one share on one host, until a moment. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac

import attrs

__all__ = ["COOKIE", "KEY_BYTES", "ShareCookie", "read_cookie", "set_cookie", "sign_cookie"]

COOKIE = "__Host-egtunnel-share"
"""``__Host-``: browsers take it over TLS only, for the whole of this one host, and another tunnel cannot plant it."""
KEY_BYTES = 32
LONGEST = 512
_PURPOSE = b"egtunnel share cookie 1\0"


@attrs.frozen
class ShareCookie:
    """What a cookie says: ``share`` (id), and ``until`` when (whole seconds since 1970)."""

    share: str
    until: int


def sign_cookie(key: bytes, host: str, cookie: ShareCookie) -> str:
    """``<share>.<until>.<signature>``, good on this host alone.

    :raises ValueError: the key is short, or the id is none.
    """
    if len(key) < KEY_BYTES:
        raise ValueError("the key of cookies is too short")
    if not (cookie.share.isascii() and cookie.share.isalnum()):
        raise ValueError("not the id of a share")
    return f"{cookie.share}.{cookie.until}.{_signature(key, host, cookie)}"


def read_cookie(key: bytes, host: str, text: str, now: float) -> ShareCookie | None:
    """What a cookie says; None: it was not made here, or for another host, or is over.

    Whether the share still stands is another question, to be asked for every request.
    """
    if len(text) > LONGEST or not text.isascii():
        return None
    share, _, rest = text.partition(".")
    until, _, signature = rest.partition(".")
    if not share.isalnum() or not until.isdigit() or len(until) > 12:
        return None
    cookie = ShareCookie(share, int(until))
    if not hmac.compare_digest(_signature(key, host, cookie), signature):
        return None
    return cookie if now < cookie.until and str(cookie.until) == until else None


def set_cookie(value: str, *, secure: bool, max_age: int) -> str:
    """The value of a Set-Cookie header. Without TLS, as on localhost, no browser takes the prefix: it is left out."""
    name = COOKIE if secure else COOKIE.removeprefix("__Host-")
    return f"{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"


def _signature(key: bytes, host: str, cookie: ShareCookie) -> str:
    # NUL between the parts: none of them can hold one, so no two cookies are signed as the same bytes.
    folded = host.lower().rstrip(".").encode("utf-8", "surrogatepass")
    signed = _PURPOSE + b"\0".join((folded, cookie.share.encode(), str(cookie.until).encode()))
    return base64.urlsafe_b64encode(hmac.digest(key, signed, hashlib.sha256)).decode().rstrip("=")
