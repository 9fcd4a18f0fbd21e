"""The rule ``private``: nobody comes in but by a share, with its cookie or by its link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from egtunnel.access.cookies import COOKIE, ShareCookie, read_cookie, sign_cookie
from egtunnel.access.host_cookies import cookie_values, own_host, set_cookie
from egtunnel.access.oidc.sealed import Seal
from egtunnel.access.values import members
from egtunnel.guard import OWN_PATH, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor
from egtunnel.sharing.book import Book, Entry
from egtunnel.sharing.verdicts import OVER, PRIVATE, STALE, denial_of, move

__all__ = ["ENTRY", "Keys", "Private", "private", "ticket"]

ENTRY = OWN_PATH + b"share"
NOBODY = Denial(404, "unknown-tunnel", "There is no tunnel of this name here.")
_PURPOSE = "share-ticket"


@attrs.frozen
class Keys:
    """What signs cookies, and seals the way from a link to a tunnel's own host."""

    cookie: bytes = attrs.field(repr=False)
    seal: Seal = attrs.field(repr=False)


def private(value: Any, book: Book | None, keys: Callable[[], Keys]) -> IGuard:
    """The rule of ``{"owner": id}``, which the relay makes of a claim's ``true``. Raises AccessError."""
    (owner,) = members("private", value, ("owner",))
    if book is None:
        return Hidden()
    return Private(book, keys(), owner)


def ticket(keys: Keys, host: str, share: str, until: float) -> str:
    """What a browser shows at the tunnel's own host to get its cookie."""
    return keys.seal.close(_PURPOSE, (host,), {"share": share, "until": until})


@implementer(IGuard)
class Hidden:
    """Without a store there are no links: only clients visit, and for everybody else nothing is there."""

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict:
        """As where there is no tunnel."""
        return NOBODY

    def admits(self, visitor: Visitor) -> bool:
        """The claim of a client that visits was judged."""
        return visitor.kind == "visit"


@implementer(IGuard)
class Private:
    """Asks for every request whether the share still stands, and allows this.

    :param owner: whose tunnel it is, by id; nobody else's shares open it but the admin's (empty).
    """

    def __init__(self, book: Book, keys: Keys, owner: str = "") -> None:
        self._owner = owner
        self._book = book
        self._keys = keys

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict | Deferred[Any]:
        """By the link that was judged on the relay's own host, or by the cookie."""
        if asked.share:
            entry = self._book.known(asked.share)
            if entry is None or not self._opens(entry):
                return PRIVATE
            return OVER if entry.share.ended(self._book.wall()) else None
        if asked.path == ENTRY and not asked.prefix:
            return self._enter(asked)
        host = own_host(asked)
        for value in cookie_values(asked, COOKIE):
            cookie = read_cookie(self._keys.cookie, host, value, self._book.wall())
            if cookie is not None:
                return self._by_cookie(cookie, asked, host)
        return PRIVATE

    def admits(self, visitor: Visitor) -> bool:
        """Links are for HTTP; the claim of a client that visits was judged."""
        return visitor.kind == "visit"

    def _opens(self, entry: Entry) -> bool:
        return entry.owner in ("", self._owner)

    def _by_cookie(self, cookie: ShareCookie, asked: Asked, host: str) -> Verdict | Deferred[Any]:
        entry = self._book.known(cookie.share)
        if entry is not None:
            return self._judged(entry, asked, host)
        return self._book.by_id(cookie.share).addCallback(self._judged, asked, host)

    def _judged(self, entry: Entry | None, asked: Asked, host: str) -> Verdict:
        if entry is None:
            return OVER
        if not self._opens(entry):
            return PRIVATE
        method, target = asked.method.decode("latin-1"), asked.target.decode("latin-1")
        verdict = entry.share.judge(method, target, self._book.wall(), host)
        if verdict != 200:
            return denial_of(verdict)
        asked.leash = self._book.hold(entry)
        return None

    # -- from the link to here

    def _enter(self, asked: Asked) -> Verdict | Deferred[Any]:
        if asked.method not in (b"GET", b"HEAD") or asked.upgrade:
            return Denial(405, "method-not-allowed", "This page can only be read.", ((b"Allow", b"GET, HEAD"),))
        query = _query(asked)
        shown, place = query.get("ticket", [""])[0], query.get("to", ["/"])[0]
        host = own_host(asked)
        value = self._keys.seal.open(_PURPOSE, (host,), shown)
        if value is None or value["until"] <= self._book.wall():
            return STALE
        return self._book.by_id(value["share"]).addCallback(self._entered, asked, host, place)

    def _entered(self, entry: Entry | None, asked: Asked, host: str, place: str) -> Verdict:
        now = self._book.wall()
        if entry is None or entry.share.ended(now):
            return OVER
        if not self._opens(entry):
            return PRIVATE
        until = now + self._book.limits.cookie
        if entry.share.expires is not None:
            until = min(until, entry.share.expires)
        cookie = sign_cookie(self._keys.cookie, host, ShareCookie(entry.share.id, int(until)))
        return move(_whole(asked, place), set_cookie(asked, COOKIE, cookie, max(0, int(until - now))))


def _whole(asked: Asked, place: str) -> str:
    """A page of this host, whatever was asked for."""
    path = "/" + place.lstrip("/\\")
    visible = "".join(letter if "!" <= letter <= "~" and letter != "\\" else "" for letter in path)
    return f"{asked.scheme}://{asked.host.decode('latin-1')}{visible}"


def _query(asked: Asked) -> dict[str, list[str]]:
    try:
        return parse_qs(asked.target.partition(b"?")[2].decode("latin-1"), max_num_fields=4)
    except ValueError:
        return {}
