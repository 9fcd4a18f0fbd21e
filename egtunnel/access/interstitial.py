"""A page before the first one: people with a browser are told that somebody else runs what they are about to see."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs, quote

from zope.interface import implementer

from egtunnel.access.host_cookies import cookie_values, is_page, own_host, set_cookie
from egtunnel.guard import OWN_PATH, Answer, Asked, IGuard, Verdict
from egtunnel.interfaces import Visitor

__all__ = ["COOKIE", "SKIP", "Interstitial"]

COOKIE = "__Host-egtunnel-visit"
SKIP = b"x-egtunnel-skip-page"
VISIT = OWN_PATH + b"visit"
LASTS = 604_800
"""Seconds until it is shown again."""
_PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{host}</title>'
    '<meta name="viewport" content="width=device-width"><style>body{{font:16px/1.5 system-ui,sans-serif;'
    "max-width:40em;margin:4em auto;padding:0 1em;color:#222}}</style></head>\n<body><h1>{host}</h1>\n"
    "<p>You are about to visit a page that somebody serves from a machine of their own, by a tunnel. Go on only if you "
    "know who sent you here; type no password that belongs elsewhere.</p>\n"
    '<p><a href="{place}" rel="noreferrer">Go on to {host}</a></p>\n</body></html>\n'
)


@implementer(IGuard)
class Interstitial:
    """Shows it to browsers, once a week for each host; programs never see it, nor who comes by a share."""

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """The page, the way past it, or nothing."""
        if asked.prefix or asked.share:
            return None
        if asked.path == VISIT and asked.method == b"GET":
            return self._past(asked)
        if not is_page(asked) or asked.values(SKIP) or "1" in cookie_values(asked, COOKIE):
            return None
        if asked.path.startswith(OWN_PATH):
            return None  # the pages of other rules are the relay's own
        place = f"{VISIT.decode()}?to={quote(asked.target.decode('latin-1'), safe='', encoding='latin-1')}"
        page = _PAGE.format(host=escape(own_host(asked)), place=escape(place)).encode()
        return Answer(200, ((b"Content-Type", b"text/html; charset=utf-8"),), page, "interstitial")

    def admits(self, visitor: Visitor) -> bool:
        """It is for HTTP."""
        return True

    def _past(self, asked: Asked) -> Answer:
        try:
            query = parse_qs(asked.target.partition(b"?")[2].decode("latin-1"), max_num_fields=2, encoding="latin-1")
        except ValueError:
            query = {}
        path = "/" + query.get("to", ["/"])[0].lstrip("/\\")
        visible = "".join(letter for letter in path if "!" <= letter <= "~" and letter != "\\")
        place = f"{asked.scheme}://{asked.host.decode('latin-1')}{visible}".encode("latin-1")
        return Answer(303, ((b"Location", place), set_cookie(asked, COOKIE, "1", LASTS)), word="interstitial")
