"""Requests that show a link: ``/share/<token>/...`` on the relay's own host, judged and led to the tunnel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from egtunnel.access.hashing import Hashing
from egtunnel.access.host_cookies import is_page
from egtunnel.access.passphrases import passphrase_fits
from egtunnel.access.shares import Share
from egtunnel.access.wrong import Wrong
from egtunnel.guard import Answer, Asked, Denial, IGuard, IWay, Verdict
from egtunnel.interfaces import ITunnel, Visitor, subscriber
from egtunnel.sharing.book import Book, Entry
from egtunnel.sharing.making import LINK
from egtunnel.sharing.private import ENTRY, Keys, Private, ticket
from egtunnel.sharing.verdicts import GUESSING, OVER, TOO_MANY, UNKNOWN, WANTED, WRONG, denial_of, form, listing, move

__all__ = ["Links", "Way"]

PASSPHRASE = b"x-egtunnel-passphrase"
OPEN = b"/.egtunnel/open"
_TARGET = re.compile(rb"(/share/([A-Za-z0-9_-]{1,64}))((?:/[^?]*)?)((?:\?.*)?)", re.DOTALL)
_SELECTED = re.compile(rb"/~([A-Za-z0-9._-]{1,253})((?:/.*)?)", re.DOTALL)
_NO_TUNNEL = Denial(503, "client-away", "What was shared with you is not there at the moment; try again later.")


class Links:
    """Finds the way of each request that shows a link.

    :param find: the tunnel of a public host; None: there is none now.
    :param url: the public URL of a host, without a path.
    """

    def __init__(
        self,
        book: Book,
        keys: Callable[[], Keys],
        hashing: Hashing,
        seconds: Callable[[], float],
        find: Callable[[str], ITunnel | None],
        url: Callable[[str], str],
    ) -> None:
        self.book = book
        self.keys = keys
        self.hashing = hashing
        self.seconds = seconds
        self.find = find
        self.url = url
        self.unknown = Wrong(book.limits.unknown, book.limits.wrong_window)
        self.wrong = Wrong(book.limits.wrong, book.limits.wrong_window)

    def way(self) -> Way:
        """For one request."""
        return Way(self)


@implementer(IWay, IGuard)
class Way:
    """From the link of one request to its tunnel: known, not over, opened, permitted, counted, in this order."""

    def __init__(self, links: Links) -> None:
        self.tunnel: ITunnel | None = None
        self.target = self.prefix = b""
        self.share = ""
        self._links = links
        self._book = links.book
        self._asked: Any = None
        self._visitor: Any = None
        self._base = b""
        self._host = ""

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict | Deferred[Any]:
        """Look the link up."""
        self._asked, self._visitor = asked, visitor
        found = _TARGET.fullmatch(asked.target)
        if found is None or not LINK.fullmatch(found[2].decode("ascii")):
            return UNKNOWN
        self._base, path, query = found[1], found[3], found[4]
        if not path:
            return Answer(308, ((b"Location", self._base + b"/" + query),), word="share")
        links = self._links
        if links.unknown.wait(subscriber(visitor.host), links.seconds()):
            return GUESSING  # each of them costs the store a look-up
        return self._book.by_link(found[2].decode("ascii")).addCallback(self._found, path, query)

    def admits(self, visitor: Visitor) -> bool:
        """Links are for HTTP."""
        return False

    def _found(self, entry: Entry | None, path: bytes, query: bytes) -> Any:
        if entry is None:
            self._links.unknown.note(subscriber(self._visitor.host), self._links.seconds())
            return UNKNOWN
        if entry.share.ended(self._book.wall()):
            return OVER
        if path == OPEN and self._asked.method == b"POST" and entry.passphrase:
            return self._asked.read_body(self._book.limits.passphrase).addCallback(self._opened_by_form, entry)
        if not entry.passphrase:
            return self._open(entry, path, query)
        shown = self._asked.values(PASSPHRASE)
        if shown:
            return self._check(
                entry, shown[0].decode("utf-8", "replace"), WRONG, lambda: self._open(entry, path, query)
            )
        return form(self._base + OPEN, False) if is_page(self._asked) else WANTED

    # -- the passphrase

    def _opened_by_form(self, body: bytes, entry: Entry) -> Any:
        shown = parse_qs(body.decode("latin-1"), max_num_fields=2, encoding="utf-8").get("passphrase", [""])[0]
        return self._check(entry, shown, form(self._base + OPEN, True), lambda: self._opened(entry))

    def _check(self, entry: Entry, shown: str, wrong: Verdict, then: Callable[[], Any]) -> Any:
        links, key = self._links, f"{entry.share.id} {subscriber(self._visitor.host)}"
        if links.wrong.wait(key, links.seconds()):
            return TOO_MANY
        kept = entry.passphrase

        def checked(fits: bool) -> Any:
            if fits:
                return then()
            links.wrong.note(key, links.seconds())
            return wrong

        return links.hashing.do(self._visitor.host, lambda: passphrase_fits(shown, kept)).addCallback(checked)

    def _opened(self, entry: Entry) -> Any:
        """A person has typed the passphrase: to where the link leads by itself."""
        host, first = next(iter(sorted(entry.share.hosts))), entry.share.services[0]
        if len(entry.share.services) == 1:
            host = first.tunnel
        self._host = host
        place = b"/" if first.prefix == "/" else first.prefix.encode("ascii") + b"/"
        return self._count(entry, lambda: self._move(entry, place))

    # -- where it leads

    def _open(self, entry: Entry, path: bytes, query: bytes) -> Any:
        share = entry.share
        selected = _SELECTED.fullmatch(path) if len(share.hosts) > 1 else None
        if selected is not None:
            self._host = _named(share.hosts, selected[1].decode("ascii").lower())
            self._base += b"/~" + selected[1]
            path = selected[2] or b"/"
        elif len(share.hosts) == 1:
            (self._host,) = share.hosts
        if not self._host or (path == b"/" and "/" not in [service.prefix for service in share.services]):
            return self._overview(share) if path == b"/" and selected is None else denial_of(404)
        asked = self._asked
        target = path + query
        verdict = share.judge(asked.method.decode("latin-1"), path.decode("latin-1"), self._book.wall(), self._host)
        if verdict != 200:
            return denial_of(verdict)
        if is_page(asked):
            return self._count(entry, lambda: self._move(entry, target))
        return self._count(entry, lambda: self._lead(entry, target))

    def _overview(self, share: Share) -> Verdict:
        """The link itself, where it stands for more or less than one whole tunnel."""
        if self._asked.method not in (b"GET", b"HEAD"):
            return denial_of(404)
        if len(share.services) > 1:
            return listing(self._base.decode("ascii"), share)
        return move(self._base.decode("ascii") + share.services[0].prefix + "/")

    def _count(self, entry: Entry, then: Callable[[], Any]) -> Any:
        if entry.share.used_up():
            return OVER
        return maybeDeferred(self._book.use, entry).addCallback(lambda taken: then() if taken else OVER)

    def _move(self, entry: Entry, target: bytes) -> Verdict:
        """A browser goes to the tunnel's own host; to a private one with a ticket for its cookie."""
        tunnel = self._links.find(self._host)
        if tunnel is None:
            return _NO_TUNNEL
        url, place = self._links.url(self._host), target.decode("latin-1")
        if not _is_private(tunnel.guard):
            return move(url + place)
        until = self._book.wall() + self._book.limits.ticket
        shown = ticket(self._links.keys(), self._host, entry.share.id, until)
        return move(
            f"{url}{ENTRY.decode()}?ticket={shown}&to={quote(place, safe='')}", (b"Referrer-Policy", b"no-referrer")
        )

    def _lead(self, entry: Entry, target: bytes) -> Verdict:
        """A program is served here."""
        self.tunnel = self._links.find(self._host)
        if self.tunnel is None:
            return _NO_TUNNEL
        self.target, self.prefix, self.share = target, self._base, entry.share.id
        self._asked.withhold(PASSPHRASE)
        self._asked.leash = self._book.hold(entry)
        return None


def _named(hosts: frozenset[str], name: str) -> str:
    """The host of that name, or of that first label if there is one such; empty: none."""
    if name in hosts:
        return name
    found = [host for host in hosts if host.partition(".")[0] == name]
    return found[0] if len(found) == 1 else ""


def _is_private(guard: Any) -> bool:
    """Whether a tunnel is entered by shares alone."""
    return any(isinstance(rule, Private) for rule in getattr(guard, "rules", (guard,)))
