"""The page before the first one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from egtunnel.access.interstitial import Interstitial
from egtunnel.guard import Answer, Asked
from egtunnel.interfaces import Visitor

VISITOR = Visitor("http", "192.0.2.1", 4711)
PAGE = (b"Accept", b"text/html")


def visit(target: str, *fields: tuple[bytes, bytes], method: bytes = b"GET", **more: Any) -> Any:
    """What it says to a request."""
    asked = Asked(method, target.encode(), host=b"app.example.com", scheme="https", fields=list(fields), **more)
    return Interstitial().judge(asked, VISITOR)


def test_a_browser_sees_it_once() -> None:
    """Then it goes on to the page that it asked for."""
    page = visit("/a?b=c&d=<e>", PAGE)
    assert isinstance(page, Answer) and page.status == 200
    assert b"<e>" not in page.body and b"/.egtunnel/visit?to=%2Fa%3Fb%3Dc%26d%3D%3Ce%3E" in page.body
    past = visit("/.egtunnel/visit?to=" + quote("/a?b=c", safe=""))
    fields = dict(past.fields)
    assert (past.status, fields[b"Location"]) == (303, b"https://app.example.com/a?b=c")
    cookie = fields[b"Set-Cookie"].partition(b";")[0]
    assert visit("/a", PAGE, (b"Cookie", cookie)) is None


def test_programs_and_who_says_so_never_see_it() -> None:
    """Nor requests of a page that is open, nor who comes by a share."""
    assert visit("/a") is None
    assert visit("/a", (b"Accept", b"application/json")) is None
    assert visit("/a", PAGE, method=b"POST") is None
    assert visit("/a", PAGE, (b"Sec-Fetch-Mode", b"cors")) is None
    assert visit("/a", PAGE, (b"X-Egtunnel-Skip-Page", b"1")) is None
    assert visit("/a", PAGE, share="s") is None
    assert visit("/.egtunnel/oidc/callback?x", PAGE) is None
    assert Interstitial().admits(VISITOR)


def test_the_way_on_leads_to_this_host_alone() -> None:
    """Whatever was written into it."""
    for away in ("//evil.example", "/\\evil.example", "https://evil.example/", "\r\nX-A: b"):
        place = dict(visit("/.egtunnel/visit?to=" + quote(away, safe="")).fields)[b"Location"]
        assert place.startswith(b"https://app.example.com/") and b"\n" not in place
    assert visit("/.egtunnel/visit?" + "&".join("a=b" for _ in range(9))).status == 303
