"""The relay's own pages: short, plain, everything escaped; JSON where the visitor asks for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from html import escape

from egtunnel.guard import Answer
from egtunnel.ingress.http.error_pages import ErrorPages, fill
from egtunnel.ingress.http.head import Fields
from egtunnel.ingress.http.refusals import REASONS, Refusal
from egtunnel.ingress.http.responder import IResponder

__all__ = ["send_answer", "send_page", "send_refusal", "send_start", "wants_json"]

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em;color:#222}"
    "code,pre{background:#f3f3f3;padding:.2em .4em;overflow-x:auto}pre{padding:1em}small{color:#777}"
)
_SAFE: list[tuple[bytes, bytes]] = [
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
]
_OUR_SECURITY = (
    b"Content-Security-Policy",
    b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
)
_THEIR_SECURITY = (b"Content-Security-Policy", b"frame-ancestors 'none'")
"""Of own error pages, which may hold whatever the person who runs the relay has put into them."""
HTML = b"text/html; charset=utf-8"
JSON = b"application/json"
PLAIN = b"text/plain; charset=utf-8"


def wants_json(fields: Fields) -> bool:
    """Whether an Accept header asks for JSON and not for HTML."""
    for name, value in fields:
        if name.lower() == b"accept":
            accept = value.lower()
            return b"json" in accept and b"html" not in accept
    return False


def document(title: str, body: str) -> bytes:
    """A page; ``title`` is escaped here, ``body`` by whoever made it."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    ).encode()


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    """A second since 1970 as a Date header has it (RFC 9110 section 5.6.7)."""
    return formatdate(second, usegmt=True).encode("ascii")


def send_page(
    responder: IResponder,
    status: int,
    kind: bytes,
    body: bytes,
    fields: Fields | None = None,
    *,
    security: tuple[bytes, bytes] = _OUR_SECURITY,
    now: Callable[[], float] = time.time,
) -> None:
    """A whole response; ``now`` tells the seconds since 1970."""
    headers = [(b"Date", _date(int(now()))), (b"Content-Type", kind), *_SAFE, security, *(fields or [])]
    responder.send_head(status, REASONS[status], headers, len(body))
    responder.send_body(body)
    responder.finish([])


def send_answer(responder: IResponder, answer: Answer, *, now: Callable[[], float] = time.time) -> None:
    """A whole response of a rule for visitors; what it does not say of caching and the like is said here."""
    said = {name.lower() for name, _ in answer.fields}
    usual = [(b"Date", _date(int(now()))), *_SAFE, _OUR_SECURITY]
    headers = [field for field in usual if field[0].lower() not in said]
    bodiless = answer.status in (204, 304)
    reason = REASONS.get(answer.status, b"")
    length = None if bodiless else len(answer.body)
    responder.send_head(answer.status, reason, [*headers, *answer.fields], length, bodiless)
    responder.send_body(answer.body)
    responder.finish([])


def send_refusal(
    responder: IResponder,
    refusal: Refusal,
    fields: Fields,
    retry_after: int,
    pages: ErrorPages | None = None,
    tunnel: str = "",
) -> None:
    """The page of an error; ``fields`` are the request's, which may ask for JSON.

    :param pages: own pages, of which one for the tunnel of that name is taken before one for all.
    """
    headers = [(b"X-Egtunnel-Error", refusal.word.encode("ascii")), *refusal.headers]
    if refusal.retry:
        headers.append((b"Retry-After", b"%d" % retry_after))
    if wants_json(fields):
        body = json.dumps({"error": refusal.word, "status": refusal.status, "text": refusal.text}).encode() + b"\n"
        send_page(responder, refusal.status, JSON, body, headers)
        return
    page = None if pages is None else pages.find(tunnel, refusal.status)
    if page is not None:
        send_page(
            responder, refusal.status, HTML, fill(page, refusal, _host(fields)), headers, security=_THEIR_SECURITY
        )
        return
    title = f"{refusal.status} {REASONS[refusal.status].decode('ascii')}"
    text = f"<p>{escape(refusal.text)}</p>\n<p><small>egtunnel: {escape(refusal.word)}</small></p>"
    send_page(responder, refusal.status, HTML, document(title, text), headers)


def _host(fields: Fields) -> bytes:
    """The Host that was asked for, as it was written; empty if the request has none."""
    return next((value for name, value in fields if name.lower() in (b"host", b":authority")), b"")


def send_start(responder: IResponder, line: str) -> None:
    """What this is and how to connect a client; ``line`` is what to type."""
    text = (
        "<p>This is an egtunnel relay. It gives a service that nobody outside can reach a public address.</p>\n"
        f"<p>To connect a client, next to a service on port 8080:</p>\n<pre>{escape(line)}</pre>\n"
        "<p>It needs the relay's token, in EGTUNNEL_TOKEN or by --token-file; on the relay's own machine it finds it "
        "by itself.</p>"
    )
    send_page(responder, 200, HTML, document("egtunnel", text))
