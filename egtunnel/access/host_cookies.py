"""Browsers before rules: who they are, and their cookies, which are for one host alone. Pure."""

from __future__ import annotations

from egtunnel.guard import Asked

__all__ = ["BEGUN", "SESSION", "cookie_values", "is_page", "own_host", "set_cookie"]

SESSION = "__Host-egtunnel-login"
BEGUN = "__Host-egtunnel-login-begun"
"""``__Host-``: browsers take them over TLS only, for the whole of one host, and another tunnel cannot plant them."""
MOST, LONGEST = 4, 4_096


def cookie_values(asked: Asked, name: str) -> list[str]:
    """The first few values of a cookie; a browser sends one, unless somebody has planted others."""
    wanted = _name(name, secure=asked.scheme == "https").encode()
    found = []
    for field in asked.values(b"cookie"):
        if wanted not in field:
            continue
        for pair in field.split(b";"):
            known, _, value = pair.strip(b" \t").partition(b"=")
            if known == wanted and len(value) <= LONGEST and value.isascii():
                found.append(value.decode("ascii"))
    return found[:MOST]


def set_cookie(asked: Asked, name: str, value: str, max_age: float) -> tuple[bytes, bytes]:
    """The field that sets it. Without TLS, as on localhost, no browser takes the prefix: it is left out."""
    secure = asked.scheme == "https"
    text = f"{_name(name, secure=secure)}={value}; Path=/; Max-Age={max_age:.0f}; HttpOnly; SameSite=Lax"
    return b"Set-Cookie", (text + "; Secure" if secure else text).encode("ascii")


def is_page(asked: Asked) -> bool:
    """Whether a person waits for a page, who could be sent to another one."""
    accepts = b",".join(asked.values(b"accept")).lower()
    mode = asked.values(b"sec-fetch-mode")
    return asked.method == b"GET" and not asked.upgrade and b"text/html" in accepts and mode in ([], [b"navigate"])


def own_host(asked: Asked) -> str:
    """The host that was asked for, in the one form that all requests to it have, without port as cookies are."""
    host = asked.host.decode("latin-1").lower()
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).rstrip(".")


def _name(name: str, *, secure: bool) -> str:
    return name if secure else name.removeprefix("__Host-")
