"""Requests that show a link, and requests to private tunnels, without a network."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed

from egtunnel.access.hashing import Hashing
from egtunnel.access.limits import AccessLimits
from egtunnel.access.oidc.sealed import Seal
from egtunnel.errors import StoreUnavailable
from egtunnel.guard import AccessError, Answer, Asked, Denial
from egtunnel.interfaces import Visitor
from egtunnel.sharing.limits import SharingLimits
from egtunnel.sharing.links import Links
from egtunnel.sharing.making import NewShare
from egtunnel.sharing.private import Keys, Private, private
from tests.sharing.shelf import Shelf
from tests.sharing.test_book import Download, result

VISITOR = Visitor("http", "192.0.2.1", 4711)
PAGE = [(b"Accept", b"text/html")]
KEYS = Keys(b"k" * 32, Seal(b"k" * 32))


@attrs.define(eq=False)
class Tunnel:
    """Stands for one; its guard is what links look at."""

    name: str
    guard: Any = None


class Desk:
    """A shelf, its links, and the private tunnel ``app`` beside the public one ``open``."""

    def __init__(self, limits: SharingLimits | None = None) -> None:
        self.shelf = Shelf(limits)
        self.private = Private(self.shelf.book, KEYS, "ann")
        self.tunnels = {
            "app.example.com": Tunnel("app", self.private),
            "open.example.com": Tunnel("open"),
        }
        hashing = Hashing(lambda work: succeed(work()), AccessLimits())
        find: Any = self.tunnels.get
        seconds = self.shelf.clock.seconds
        self.links = Links(self.shelf.book, lambda: KEYS, hashing, seconds, find, lambda host: f"https://{host}")

    def show(self, made: NewShare | str, path: str = "/", method: bytes = b"GET", **more: Any) -> tuple[Any, Any]:
        """The verdict on a request with a link, and its way."""
        token = made if isinstance(made, str) else made.token
        asked = Asked(method, f"/share/{token}{path}".encode(), scheme="https", **more)
        way = self.links.way()
        verdict = way.judge(asked, VISITOR)
        return (result(verdict) if isinstance(verdict, Deferred) else verdict), way

    def visit(self, target: str, cookie: str = "", method: bytes = b"GET", host: bytes = b"app.example.com") -> Any:
        """The verdict of the private tunnel."""
        fields = [(b"Cookie", cookie.encode())] if cookie else []
        asked = Asked(method, target.encode(), host=host, scheme="https", fields=fields)
        verdict = self.private.judge(asked, VISITOR)
        return result(verdict) if isinstance(verdict, Deferred) else verdict

    def enter(self, made: NewShare, path: str = "/") -> tuple[str, str]:
        """As a browser: the cookie it gets, and where it is sent."""
        verdict, _ = self.show(made, path, fields=PAGE)
        place = urlsplit(dict(verdict.fields)[b"Location"].decode())
        assert (verdict.status, place.netloc) == (303, "app.example.com")
        entered = self.visit(f"{place.path}?{place.query}")
        fields = dict(entered.fields)
        return fields[b"Set-Cookie"].decode().partition(";")[0], fields[b"Location"].decode()


def test_a_program_is_led_to_the_tunnel() -> None:
    """The link is taken off the path; what follows it is the tunnel's, byte for byte."""
    desk = Desk()
    made = desk.shelf.add()
    verdict, way = desk.show(made, "/a%20b/?c=d&e")
    assert verdict is None
    assert way.tunnel is desk.tunnels["app.example.com"]
    assert (way.target, way.prefix, way.share) == (b"/a%20b/?c=d&e", f"/share/{made.token}".encode(), made.record.id)
    assert desk.shelf.uses == [made.record.id]


def test_what_is_no_link_of_ours() -> None:
    """Nothing that has not the shape of a link gets to the store."""
    desk = Desk()
    for wrong in ("", "x", "x" * 31, "x" * 33, "x" * 64, "%2e%2e"):
        assert desk.show(wrong)[0].word == "unknown-share"
    assert desk.shelf.asked == 0
    assert desk.show("x" * 32)[0] == Denial(404, "unknown-share", "There is no such share: the link may be incomplete.")


def test_who_guesses_links_has_to_wait() -> None:
    """The store is not asked any more; after a while it may try again."""
    desk = Desk(SharingLimits(unknown=3, wrong_window=60))
    made = desk.shelf.add()
    words = [desk.show(f"{'x' * 31}{number}")[0].word for number in range(5)]
    assert words == ["unknown-share"] * 3 + ["too-many-attempts"] * 2
    assert desk.shelf.asked == 3
    assert desk.show(made)[0].status == 429
    desk.shelf.clock.advance(60)
    assert desk.show(made)[0] is None


def test_a_link_without_a_slash_is_completed() -> None:
    """So that relative addresses of the page lie below it."""
    desk = Desk()
    made = desk.shelf.add()
    verdict, _ = desk.show(made, "?a=b")
    assert (verdict.status, verdict.fields) == (308, ((b"Location", f"/share/{made.token}/?a=b".encode()),))


def test_methods_paths_and_ends() -> None:
    """403 for what it does not permit, 404 for what is outside, 410 when it is over, in this order of strength."""
    desk = Desk()
    made = desk.shelf.add(services=["/mail"])
    assert desk.show(made, "/mail/1")[0] is None
    assert desk.show(made, "/mail/1", b"POST")[0].status == 403
    for outside in ("/files", "/mailbox", "/mail/../files", "/mail/%2e%2e/files", "//mail"):
        assert desk.show(made, outside, b"POST")[0].status == 404
    desk.shelf.clock.advance(7 * 86_400)
    assert desk.show(made, "/files", b"POST")[0].status == 410


def test_a_revoked_share_is_over_at_once() -> None:
    """For who has the link and for who has the cookie."""
    desk = Desk()
    made = desk.shelf.add()
    cookie, _ = desk.enter(made)
    desk.shelf.book.end(made.record.id)
    assert desk.show(made)[0].status == 410
    assert desk.visit("/", cookie).status == 410


def test_one_service_below_a_path_is_where_the_link_leads_and_several_are_listed() -> None:
    """Names of services are escaped."""
    desk = Desk()
    one = desk.shelf.add(services=["/mail"])
    assert dict(desk.show(one)[0].fields)[b"Location"] == f"/share/{one.token}/mail/".encode()
    two = desk.shelf.add(services=["/mail", {"name": "<b>files", "prefix": "/files"}])
    page = desk.show(two)[0]
    assert page.status == 200 and b"&lt;b&gt;files" in page.body and b"<b>" not in page.body
    assert f'href="/share/{two.token}/files/"'.encode() in page.body
    assert desk.show(two, "/", b"POST")[0].status == 404 and desk.show(two, "/other")[0].status == 404


def test_one_of_several_tunnels_is_selected_by_name() -> None:
    """By its first label or its whole host; without a name there is the list alone."""
    desk = Desk()
    made = desk.shelf.add("app.example.com", "open.example.com")
    verdict, way = desk.show(made, "/~open/x?y")
    assert verdict is None
    assert way.tunnel is desk.tunnels["open.example.com"] and way.target == b"/x?y"
    assert way.prefix == f"/share/{made.token}/~open".encode()
    assert desk.show(made, "/~app.example.com")[1].target == b"/"
    assert desk.show(made, "/~other/x")[0].status == 404
    assert desk.show(made, "/x")[0].status == 404
    assert b"/~app.example.com/" in desk.show(made)[0].body


def test_a_browser_is_moved_to_the_tunnels_own_host_with_a_cookie() -> None:
    """To the page that it asked for; the cookie opens that host, and what the share permits, alone."""
    desk = Desk()
    made = desk.shelf.add(services=["/mail"])
    cookie, place = desk.enter(made, "/mail/?a=b%20c&d")
    assert place == "https://app.example.com/mail/?a=b%20c&d"
    assert cookie.startswith("__Host-egtunnel-share=")
    assert desk.visit("/mail/", cookie) is None
    assert desk.visit("/mail/", cookie, b"POST").status == 403
    assert desk.visit("/files", cookie).status == 404
    assert desk.visit("/mail/", cookie, host=b"open.example.com").word == "private-tunnel"
    assert desk.visit("/mail/", cookie[:-1] + ("A" if cookie[-1] != "A" else "B")).word == "private-tunnel"
    assert desk.visit("/mail/").word == "private-tunnel"
    desk.shelf.clock.advance(7 * 86_400)
    assert desk.visit("/mail/", cookie).status == 403, "the cookie ends with the share"


def test_a_browser_goes_to_a_public_tunnel_without_a_ticket() -> None:
    """There is nothing to open."""
    desk = Desk()
    verdict, _ = desk.show(desk.shelf.add("open.example.com"), "/x?y", fields=PAGE)
    assert dict(verdict.fields)[b"Location"] == b"https://open.example.com/x?y"


def test_a_ticket_is_good_for_its_host_and_a_minute() -> None:
    """And leads nowhere but to that host."""
    desk = Desk()
    made = desk.shelf.add()
    verdict, _ = desk.show(made, "/", fields=PAGE)
    place = urlsplit(dict(verdict.fields)[b"Location"].decode())
    shown = re.search(r"ticket=([^&]+)", place.query)
    assert shown is not None
    ticket = f"/.egtunnel/share?ticket={shown[1]}"
    for away in ("//evil.example/", "/\\evil.example/", "https://evil.example/", "\r\nX: y"):
        entered = desk.visit(f"{ticket}&to={quote(away, safe='')}")
        location = dict(entered.fields)[b"Location"].decode()
        assert urlsplit(location).netloc == "app.example.com" and "\n" not in location
    assert desk.visit(f"{ticket}&to=/", host=b"other.example.com").word == "stale-ticket"
    assert desk.visit("/.egtunnel/share?ticket=nonsense").word == "stale-ticket"
    assert desk.visit("/.egtunnel/share?" + "&".join("a=b" for _ in range(9))).word == "stale-ticket"
    assert desk.visit(ticket, method=b"POST").status == 405
    desk.shelf.clock.advance(60)
    assert desk.visit(ticket).word == "stale-ticket"


def test_nobody_elses_share_opens_a_private_tunnel_but_the_admins() -> None:
    """A link to a name that now belongs to somebody else is worth nothing."""
    desk = Desk()
    for owner, opens in (("ann", True), ("", True), ("eve", False)):
        made = desk.shelf.add(owner=owner)
        asked = Asked(b"GET", b"/", host=b"example.com", share=made.record.id, scheme="https")
        assert desk.show(made)[0] is None
        assert (desk.private.judge(asked, VISITOR) is None) is opens
        place = urlsplit(dict(desk.show(made, fields=PAGE)[0].fields)[b"Location"].decode())
        entered = desk.visit(f"{place.path}?{place.query}")
        assert isinstance(entered, Answer if opens else Denial)
    assert not desk.private.admits(VISITOR)


def test_a_passphrase_for_programs() -> None:
    """In a header, which does not go on; wrong ones are counted and then refused for a while."""
    desk = Desk(SharingLimits(wrong=2, wrong_window=60))
    made = desk.shelf.add(passphrase="open sesame")
    assert desk.show(made)[0].word == "passphrase-wanted"
    right, wrong = ([(b"X-Egtunnel-Passphrase", word)] for word in (b"open sesame", b"close"))
    assert desk.show(made, fields=right)[0] is None
    assert desk.show(made, fields=wrong)[0].word == "wrong-passphrase"
    assert desk.show(made, fields=wrong)[0].word == "wrong-passphrase"
    assert desk.show(made, fields=right)[0].status == 429
    desk.shelf.clock.advance(60)
    assert desk.show(made, fields=right)[0] is None


def test_a_passphrase_in_a_browser() -> None:
    """By a form; the right one leads to the tunnel's own host."""
    desk = Desk()
    made = desk.shelf.add(passphrase="open sesame")
    page = desk.show(made, "/", fields=PAGE)[0]
    place = re.search(rb'action="([^"]+)"', page.body)
    assert page.status == 401 and place is not None
    path = place[1].decode().removeprefix(f"/share/{made.token}")

    def send(form: bytes) -> Any:
        return desk.show(made, path, b"POST", read_body=lambda asked, most: succeed(form))[0]

    assert send(b"passphrase=wrong").body.count(b"That was not") == 1
    assert send(b"nonsense").status == 401
    entered = send(b"passphrase=open+sesame")
    assert dict(entered.fields)[b"Location"].startswith(b"https://app.example.com/.egtunnel/share?ticket=")


def test_uses_end_for_newcomers_and_not_for_who_is_in() -> None:
    """What the share permits is asked before a use is taken."""
    desk = Desk()
    made = desk.shelf.add(uses=2)
    assert desk.show(made, "/", b"POST")[0].status == 403
    cookie, _ = desk.enter(made)
    assert desk.show(made)[0] is None
    assert desk.show(made)[0].word == "share-over"
    assert desk.visit("/", cookie) is None


def test_a_tunnel_that_is_not_there() -> None:
    """503, for programs and browsers alike."""
    desk = Desk()
    made = desk.shelf.add("gone.example.com")
    assert desk.show(made)[0].word == desk.show(made, fields=PAGE)[0].word == "client-away"


def test_who_came_in_is_held() -> None:
    """By link and by cookie; the end of the share is theirs."""
    desk = Desk()
    made = desk.shelf.add()
    cookie, _ = desk.enter(made)
    asked = Asked(b"GET", b"/", host=b"app.example.com", scheme="https", fields=[(b"Cookie", cookie.encode())])
    assert desk.private.judge(asked, VISITOR) is None
    download = Download()
    assert asked.leash is not None
    asked.leash.hold(download)
    desk.shelf.book.end(made.record.id)
    assert len(download.cut) == 1


def test_a_store_that_is_away_lets_in_who_is_known_and_nobody_else() -> None:
    """The error goes to the ingress, which says 503."""
    desk = Desk()
    made, other = desk.shelf.add(), desk.shelf.add()
    cookie, _ = desk.enter(made)
    desk.shelf.away = True
    assert desk.visit("/", cookie) is None
    with pytest.raises(StoreUnavailable):
        desk.show(other)


def test_the_rule_of_a_claim() -> None:
    """Only as the relay writes it; without a store there are no links, and nothing to be seen."""
    desk = Desk()
    assert isinstance(private({"owner": "ann"}, desk.shelf.book, lambda: KEYS), Private)
    hidden = private({"owner": "ann"}, None, lambda: KEYS)
    for guard in (hidden, private({"owner": "ann"}, desk.shelf.book, lambda: KEYS)):
        assert guard.admits(Visitor("visit", "192.0.2.7", 1))
        assert not guard.admits(Visitor("tcp", "192.0.2.7", 1))
    verdict = hidden.judge(Asked(b"GET", b"/"), Visitor("http", "192.0.2.7", 1))
    assert isinstance(verdict, Denial) and (verdict.status, verdict.word) == (404, "unknown-tunnel")
    for wrong in (True, {}, {"owner": "a", "b": "c"}):
        with pytest.raises(AccessError):
            private(wrong, desk.shelf.book, lambda: KEYS)
