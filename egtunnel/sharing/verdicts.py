"""What visitors of shares are told, and the pages that they see. Pure."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from egtunnel.access.shares import Share
from egtunnel.guard import Answer, Denial

__all__ = ["GUESSING", "OVER", "PRIVATE", "TOO_MANY", "UNKNOWN", "denial_of", "form", "listing", "move"]

UNKNOWN = Denial(404, "unknown-share", "There is no such share: the link may be incomplete.")
OVER = Denial(410, "share-over", "This share is over: ask whoever sent you the link for a new one.")
PRIVATE = Denial(403, "private-tunnel", "This tunnel is private: open it by a link that was shared with you.")
TOO_MANY = Denial(429, "too-many-attempts", "Too many wrong passphrases; try again later.", ((b"Retry-After", b"60"),))
GUESSING = Denial(429, "too-many-attempts", "Too many wrong links; try again later.", ((b"Retry-After", b"60"),))
WANTED = Denial(
    401,
    "passphrase-wanted",
    "This share has a passphrase: send it in the header X-Egtunnel-Passphrase.",
    ((b"WWW-Authenticate", b'Egtunnel-Passphrase realm="share"'),),
)
WRONG = Denial(401, "wrong-passphrase", "This is not the passphrase of this share.", WANTED.fields)
STALE = Denial(403, "stale-ticket", "This way in is used up: open the link that was shared with you again.")
_NOT = {
    403: Denial(403, "not-permitted", "This share does not permit that: it may be read-only."),
    404: Denial(404, "not-shared", "There is nothing shared with you at this address."),
    410: OVER,
}
_PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width"><style>body{{font:16px/1.5 system-ui,sans-serif;'
    "max-width:40em;margin:4em auto;padding:0 1em;color:#222}}</style></head>\n<body><h1>{title}</h1>\n{body}\n"
    "</body></html>\n"
)
_HTML = (b"Content-Type", b"text/html; charset=utf-8")
_SECURITY = (
    b"Content-Security-Policy",
    b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
)
_NO_REFERRER = (b"Referrer-Policy", b"same-origin")


def denial_of(verdict: int) -> Denial:
    """What stands for 403, 404 or 410 of ``Share.judge``."""
    return _NOT[verdict]


def form(place: bytes, wrong: bool) -> Answer:
    """The page that asks for a passphrase; it is sent to ``place``."""
    said = "<p><strong>That was not the passphrase.</strong></p>\n" if wrong else ""
    body = (
        f'{said}<form method="post" action="{escape(place.decode("latin-1"))}"><label>Passphrase '
        '<input type="password" name="passphrase" autofocus required></label> <button>Open</button></form>'
    )
    page = _PAGE.format(title="Shared with a passphrase", body=body).encode()
    return Answer(401, (_HTML, _SECURITY, _NO_REFERRER, *WANTED.fields), page, "passphrase-wanted")


def listing(base: str, share: Share) -> Answer:
    """What is shared, as links below ``base`` (without a slash at its end)."""
    many = len(share.hosts) > 1
    rows = []
    for service in share.services:
        place = f"{base}/~{service.tunnel}" if many else base
        place += quote(service.prefix.rstrip("/")) + "/"
        rows.append(f'<li><a href="{escape(place)}">{escape(service.name)}</a></li>')
    page = _PAGE.format(title="Shared with you", body="<ul>\n" + "\n".join(rows) + "\n</ul>").encode()
    return Answer(200, (_HTML, _SECURITY, _NO_REFERRER), page, "share-listing")


def move(place: str, *fields: tuple[bytes, bytes]) -> Answer:
    """Have a browser go elsewhere."""
    return Answer(303, ((b"Location", place.encode("latin-1")), *fields), word="share")
