"""What the relay fetches, from a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import attrs
import pytest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from egtunnel.access.fetching import Fetcher, FetchError
from egtunnel.access.limits import AccessLimits
from tests.store.reactors import Turns

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Page(Resource):
    """Answers everything with what a test says."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.body: bytes | None = b'{"a": 1}'
        self.seen: list[tuple[bytes, bytes, bytes]] = []

    def render(self, request: Any) -> Any:
        """The page, or nothing for ever."""
        self.seen.append((request.method, request.uri, request.content.read()))
        request.setResponseCode(self.status)
        if self.status == 302:
            request.setHeader(b"Location", b"/elsewhere")
        return NOT_DONE_YET if self.body is None else self.body


@attrs.define
class House:
    """A server and somebody who fetches from it."""

    turns: Turns
    page: Page
    url: str
    limits: AccessLimits = attrs.field(factory=AccessLimits)

    def fetch(self, url: str = "", networks: Any = LOOPBACK, **more: Any) -> dict[str, Any]:
        """What is there. Raises FetchError."""
        fetcher = Fetcher(self.turns.reactor, self.limits, networks)
        found: dict[str, Any] = self.turns.wait(fetcher.ask(more.pop("method", b"GET"), url or self.url, **more))
        return found


@pytest.fixture
def house(turns: Turns) -> Iterator[House]:
    """On a port of its own."""
    page = Page()
    site = Site(page)
    site.noisy = False
    names = turns.reactor.getThreadPool()
    names.start()
    port = turns.reactor.listenTCP(0, site, interface="127.0.0.1")
    yield House(turns, page, f"http://127.0.0.1:{port.getHost().port}/keys")
    port.stopListening()
    turns.until(lambda: not port.connected)
    names.stop()


def test_an_object_is_fetched(house: House) -> None:
    """With a GET, or posted to."""
    assert house.fetch() == {"a": 1}
    assert house.fetch(method=b"POST", body=b"x=1", fields=[(b"Content-Type", b"text/plain")]) == {"a": 1}
    assert house.page.seen == [(b"GET", b"/keys", b""), (b"POST", b"/keys", b"x=1")]


def test_nothing_is_fetched_from_within_unless_the_owner_says_so(house: House) -> None:
    """Not a byte is sent there; the refusal is the same as where nobody listens."""
    texts = []
    for url in ("", house.url.replace("127.0.0.1", "localhost"), "http://127.0.0.1:1/"):
        with pytest.raises(FetchError) as caught:
            house.fetch(url, networks=())
        texts.append(caught.value.text)
    assert len(set(texts)) == 1
    assert house.page.seen == []


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_only_a_success_counts(house: House, status: int) -> None:
    """Where it points elsewhere, nobody follows."""
    house.page.status = status
    with pytest.raises(FetchError):
        house.fetch()
    assert len(house.page.seen) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'"x"'])
def test_what_is_no_object_is_refused(house: House, body: bytes) -> None:
    """However deep."""
    house.page.body = body
    with pytest.raises(FetchError):
        house.fetch()


def test_it_may_be_so_large(house: House) -> None:
    """And no larger."""
    room = house.limits.fetch - len(b'{"a": ""}')
    house.page.body = b'{"a": "' + b"x" * room + b'"}'
    assert len(house.fetch()["a"]) == room
    house.page.body = b'{"a": "' + b"x" * (room + 1) + b'"}'
    with pytest.raises(FetchError, match="too large"):
        house.fetch()


def test_it_may_take_so_long(house: House) -> None:
    """Also if the head never comes."""
    house.limits = AccessLimits(fetch_wait=0.05)
    house.page.body = None
    with pytest.raises(FetchError):
        house.fetch()
