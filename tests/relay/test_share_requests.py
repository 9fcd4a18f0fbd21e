"""Shares that a client asks for, as the relay answers them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from egtunnel.access.scope import Scope
from egtunnel.errors import EgtunnelError, Refused, StoreFull
from egtunnel.relay.addresses import Addresses
from egtunnel.relay.reservations import Place
from egtunnel.relay.share_requests import AT_ONCE, ShareRequests
from egtunnel.session.messages import Message, RefusedMessage, Share, Shared
from egtunnel.sharing.making import NewShare, Wish, create_share

HOUSE = Addresses("example.com", "https", 443)


class Tunnel:
    """As much of one as is looked at."""

    def __init__(self, kind: str, place: str, name: str) -> None:
        self.kind, self.name, self.place = kind, name, Place(place, name)


TUNNELS: Any = {1: Tunnel("http", "name", "app"), 2: Tunnel("http", "host", "app.test"), 3: Tunnel("tcp", "port", "22")}


class Desk:
    """Makes shares, unless ``error`` says otherwise; ``waiting``: it answers later."""

    book = object()

    def __init__(self, scope: Scope | None = None, store: bool = True) -> None:
        self.made: list[tuple[Wish, str]] = []
        self.error: EgtunnelError | None = None
        self.waiting: list[Deferred[NewShare]] | None = None
        self.sent: list[Message] = []
        self.noted: list[Refused] = []
        sharing: Any = self if store else None
        self.requests = ShareRequests(sharing, HOUSE, "ann", scope, send=self.sent.append, refused=self.noted.append)

    def create(self, wish: Wish, owner: str) -> Deferred[NewShare]:
        self.made.append((wish, owner))
        if self.waiting is not None:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return fail(self.error) if self.error else succeed(create_share(wish, owner, 0.0))

    def link(self, token: str) -> str:
        return f"https://example.com/share/{token}/"

    def ask(self, *tunnels: int, **terms: Any) -> Message:
        self.requests.ask(Share(7, list(tunnels), terms), TUNNELS)
        return self.sent[-1]


def test_a_share_of_the_clients_own_tunnels() -> None:
    """Named by their public hosts; the owner is whose token the client has."""
    desk = Desk()
    answer = desk.ask(1, 2, expires_in="2h")
    assert isinstance(answer, Shared)
    wish, owner = desk.made[0]
    assert (wish.tunnels, owner) == (("app.example.com", "app.test"), "ann")
    assert (answer.share, answer.expires) == (7, 7200.0)
    assert answer.link.startswith("https://example.com/share/")


def test_what_is_refused_and_why() -> None:
    """Each with a reason for programs; tunnels that the terms name count for nothing."""
    for desk, tunnels, terms, reason in (
        (Desk(), (9,), {}, "bad-share"),
        (Desk(), (), {}, "bad-share"),
        (Desk(), (3,), {}, "bad-share"),
        (Desk(), (1,), {"expires_in": "soon"}, "bad-share"),
        (Desk(), (1,), {"colour": "red"}, "bad-share"),
        (Desk(store=False), (1,), {}, "no-store"),
        (Desk(Scope(private=False)), (1,), {}, "scope-private"),
    ):
        answer = desk.ask(*tunnels, **terms)
        assert isinstance(answer, RefusedMessage)
        assert (answer.code, answer.share, answer.tunnel) == (reason, 7, None)
        assert [error.reason for error in desk.noted] == [reason]
        assert not desk.made
    own = Desk()
    own.ask(1, tunnels=["other.example.com"])
    assert own.made[0][0].tunnels == ("app.example.com",)


def test_a_store_that_cannot_keep_it() -> None:
    """May be tried again; a defect is one."""
    desk = Desk()
    desk.error = StoreFull("no room")
    answer = desk.ask(1)
    assert isinstance(answer, RefusedMessage) and (answer.code, answer.retry) == ("store-away", True)
    desk.error = Refused("too-many-shares", "enough")
    answer = desk.ask(1)
    assert isinstance(answer, RefusedMessage) and answer.code == "too-many-shares"


def test_a_client_waits_for_a_few_at_once() -> None:
    """Those beyond are refused for now; when one is made there is room again."""
    desk = Desk()
    desk.waiting = []
    for _ in range(AT_ONCE):
        desk.requests.ask(Share(7, [1], {}), TUNNELS)
    assert not desk.sent
    answer = desk.ask(1)
    assert isinstance(answer, RefusedMessage) and (answer.code, answer.retry) == ("too-many-shares", True)
    desk.waiting[0].callback(create_share(desk.made[0][0], "ann", 0.0))
    assert isinstance(desk.sent[-1], Shared)
    desk.requests.ask(Share(7, [1], {}), TUNNELS)
    assert len(desk.waiting) == AT_ONCE + 1
