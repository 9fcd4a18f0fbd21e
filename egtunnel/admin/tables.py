"""The resources that are rows of the store: tokens, owners, names, shares, usage, refusals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from egtunnel.access.scope import Scope
from egtunnel.access.shares import expiry
from egtunnel.access.tokens import new_id, new_token
from egtunnel.admin import shown
from egtunnel.admin.desk import Desk, owners_of
from egtunnel.admin.problems import Problem, send_json
from egtunnel.admin.reading import bad, members, number, object_of, query, text, unprocessable
from egtunnel.errors import ConfigurationError, Refused, StoreConflict
from egtunnel.limits.quota import month_of
from egtunnel.sharing.making import NEVER, Wish, create_share, read_wish
from egtunnel.store.records import NameRecord, OwnerRecord, TokenRecord

if TYPE_CHECKING:
    from egtunnel.store.rows import Rows

__all__ = ["Names", "Owners", "Records", "Shares", "Tokens"]

ADMIN = "admin"
_ID = re.compile(r"[0-9A-Za-z]{1,32}", re.ASCII)
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)
Answer = Deferred[bytes]


class _Table:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def _page(self, request: Any, *more: str) -> tuple[dict[str, str], int]:
        asked = query(request, ("after", "limit", *more))
        limits = self._desk.limits
        return asked, number(asked, "limit", limits.page, limits.most)

    def _owner(self, rows: Rows, name: str) -> OwnerRecord:
        """The owner of this name, who is made if there is none."""
        owner = rows.owners.named(name)
        if owner is None:
            owner = OwnerRecord(new_id(), name, self._desk.wall())
            rows.owners.create(owner)
        return owner

    def _whose(self, rows: Rows, asked: dict[str, str]) -> str | None:
        """The id of the owner that the query names; None: it names none. Raises Problem."""
        if "owner" not in asked:
            return None
        owner = rows.owners.named(asked["owner"])
        return "nobody" if owner is None else owner.id


def _ends(value: dict[str, Any], now: float) -> float | None:
    given = text(value, "expires_in", NEVER, least=1, most=16)
    if given == NEVER:
        return None
    try:
        return now + expiry(given)
    except ConfigurationError as error:
        raise unprocessable(error.text) from None


class Tokens(_Table):
    """``/tokens``."""

    def list(self, request: Any) -> Answer:
        """A page of them, by id."""
        asked, most = self._page(request, "owner")
        now = self._desk.wall()

        def read(rows: Rows) -> list[dict[str, Any]]:
            found = rows.tokens.list(self._whose(rows, asked), asked.get("after", ""), most)
            known = owners_of(rows, {each.owner for each in found})
            return [shown.token(each, known[each.owner], now) for each in found]

        return self._desk.read(read).addCallback(lambda found: _paged(request, "tokens", found, most))

    def create(self, request: Any) -> Answer:
        """A new one; its text is in this answer alone."""
        value = object_of(request, self._desk.limits.body)
        members(value, ("name", "owner", "scope", "expires_in"), ("name",))
        label, whose = text(value, "name", least=1), text(value, "owner", ADMIN, least=1)
        try:
            scope = Scope.from_json(value.get("scope", {}))
        except ConfigurationError as error:
            raise bad(error.text) from None
        now, made = self._desk.wall(), new_token()
        ends = _ends(value, now)

        def write(rows: Rows) -> dict[str, Any]:
            owner = self._owner(rows, whose)
            record = TokenRecord(made.id, made.digest, owner.id, label, scope.to_json(), now, ends)
            rows.tokens.create(record)
            return {**shown.token(record, owner, now), "token": made.text}

        return self._desk.write(write).addCallbacks(
            lambda found: _created(request, f"tokens/{found['id']}", found), _conflict
        )

    def show(self, request: Any, id: str) -> Answer:
        """One of them that was not revoked; the list shows those, too."""
        query(request, ())
        now = self._desk.wall()

        def read(rows: Rows) -> dict[str, Any]:
            record = rows.tokens.find(id) if _ID.fullmatch(id) else None
            if record is None or record.revoked is not None:
                raise _unknown("token")
            return shown.token(record, owners_of(rows, {record.owner})[record.owner], now)

        return self._desk.read(read).addCallback(lambda found: send_json(request, 200, found))

    def revoke(self, request: Any, id: str) -> Answer:
        """Its sessions end within a second."""
        query(request, ())
        done = self._desk.write(lambda rows: bool(_ID.fullmatch(id)) and rows.tokens.revoke(id, self._desk.wall()))
        return done.addCallback(lambda found: _deleted(request, found, "token"))


class Owners(_Table):
    """``/owners``."""

    def list(self, request: Any) -> Answer:
        """A page of them, by name."""
        asked, most = self._page(request)
        found = self._desk.read(lambda rows: rows.owners.list(asked.get("after", ""), most))
        return found.addCallback(
            lambda owners: _paged(request, "owners", [shown.owner(each) for each in owners], most, "name")
        )

    def change(self, request: Any, id: str) -> Answer:
        """Disable one, or enable it again."""
        value = object_of(request, self._desk.limits.body)
        members(value, ("disabled",), ("disabled",))
        if not isinstance(value["disabled"], bool):
            raise bad("disabled is true or false")

        def write(rows: Rows) -> dict[str, Any]:
            if not _ID.fullmatch(id) or rows.owners.find(id) is None:
                raise _unknown("owner")
            if value["disabled"]:
                rows.owners.disable(id, self._desk.wall())
            else:
                rows.owners.enable(id)
            return shown.owner(owners_of(rows, {id})[id])

        return self._desk.write(write).addCallback(lambda found: send_json(request, 200, found))


class Names(_Table):
    """``/names``."""

    def list(self, request: Any) -> Answer:
        """A page of them, by kind and value."""
        asked, most = self._page(request)
        kind, _, value = asked.get("after", "").partition("/")

        def read(rows: Rows) -> list[dict[str, Any]]:
            found = rows.names.list(after=(kind, value), most=most)
            known = owners_of(rows, {each.owner for each in found})
            return [shown.name(each, known[each.owner]) for each in found]

        def answer(found: list[dict[str, Any]]) -> bytes:
            last = f"{found[-1]['kind']}/{found[-1]['value']}" if len(found) == most else None
            return send_json(request, 200, {"names": found, "next": last})

        return self._desk.read(read).addCallback(answer)

    def reserve(self, request: Any) -> Answer:
        """Keep a place for an owner."""
        value = object_of(request, self._desk.limits.body)
        members(value, ("kind", "value", "owner"), ("kind", "value"))
        kind, place = self._place(text(value, "kind", most=8), text(value, "value", least=1, most=253))
        whose, now = text(value, "owner", ADMIN, least=1), self._desk.wall()

        def write(rows: Rows) -> dict[str, Any]:
            owner = self._owner(rows, whose)
            record = NameRecord(kind, place, owner.id, ADMIN, now)
            rows.names.reserve(record)
            return shown.name(record, owner)

        return self._desk.write(write).addCallbacks(
            lambda found: _created(request, f"names/{kind}/{place}", found), _conflict
        )

    def release(self, request: Any, kind: str, value: str) -> Answer:
        """Let everybody have it again."""
        query(request, ())
        kind, place = self._place(kind, value)
        done = self._desk.write(lambda rows: rows.names.release(kind, place))
        return done.addCallback(lambda found: _deleted(request, found, "name"))

    def _place(self, kind: str, value: str) -> tuple[str, str]:
        if kind not in ("name", "host", "tcp"):
            raise bad("kind is name, host or tcp")
        try:
            return kind, self._desk.live.check_place(kind, value)
        except Refused as error:
            raise unprocessable(error.text) from None


class Shares(_Table):
    """``/shares``."""

    def list(self, request: Any) -> Answer:
        """A page of them, by id."""
        asked, most = self._page(request, "owner")
        now = self._desk.wall()

        def read(rows: Rows) -> list[dict[str, Any]]:
            found = rows.shares.list(self._whose(rows, asked), asked.get("after", ""), most)
            known = owners_of(rows, {each.owner for each in found})
            return [shown.share(each, known[each.owner], now) for each in found]

        return self._desk.read(read).addCallback(lambda found: _paged(request, "shares", found, most))

    def create(self, request: Any) -> Answer:
        """A new one; its link is in this answer alone."""
        value = object_of(request, self._desk.limits.body)
        members(value, (*Wish.__annotations__, "owner"), ("tunnels",))
        whose, now = text(value, "owner", ADMIN, least=1), self._desk.wall()
        try:
            wish = read_wish({name: each for name, each in value.items() if name != "owner"})
        except ConfigurationError as error:
            raise unprocessable(error.text) from None

        def write(rows: Rows) -> dict[str, Any]:
            owner = self._owner(rows, whose)
            made = create_share(wish, owner.id, now)
            rows.shares.create(made.record)
            return {**shown.share(made.record, owner, now), "link": self._desk.live.link(made.token)}

        return self._desk.write(write).addCallbacks(
            lambda found: _created(request, f"shares/{found['id']}", found), _conflict
        )

    def show(self, request: Any, id: str) -> Answer:
        """One of them that was not revoked; the list shows those, too."""
        query(request, ())
        now = self._desk.wall()

        def read(rows: Rows) -> dict[str, Any]:
            record = rows.shares.get(id) if _ID.fullmatch(id) else None
            if record is None or record.revoked is not None:
                raise _unknown("share")
            return shown.share(record, owners_of(rows, {record.owner})[record.owner], now)

        return self._desk.read(read).addCallback(lambda found: send_json(request, 200, found))

    def revoke(self, request: Any, id: str) -> Answer:
        """Its link leads nowhere within a second."""
        query(request, ())
        done = self._desk.write(lambda rows: bool(_ID.fullmatch(id)) and rows.shares.revoke(id, self._desk.wall()))
        return done.addCallback(lambda found: _deleted(request, found, "share"))


class Records(_Table):
    """``/usage`` and ``/refusals``, which nobody changes."""

    def usage(self, request: Any) -> Answer:
        """A month of all tokens."""
        asked, most = self._page(request, "month")
        month = asked.get("month", month_of(self._desk.wall()))
        if not _MONTH.fullmatch(month):
            raise bad("month is written like 2026-11")
        found = self._desk.read(lambda rows: rows.usage.list(month, asked.get("after", ""), most))
        return found.addCallback(
            lambda rows: _paged(request, "usage", [shown.usage(each) for each in rows], most, "token")
        )

    def refusals(self, request: Any) -> Answer:
        """The audit log, newest first."""
        asked = query(request, ("before", "limit"))
        limits = self._desk.limits
        most = number(asked, "limit", limits.page, limits.most)
        before = number(asked, "before", 0, 10**14) or None
        found = self._desk.read(lambda rows: rows.audit.list(before, most))
        return found.addCallback(lambda rows: _paged(request, "refusals", [shown.refusal(each) for each in rows], most))


def _paged(request: Any, name: str, found: list[dict[str, Any]], most: int, key: str = "id") -> bytes:
    """``next`` is what to give as ``after`` for the rest; null: this is all."""
    return send_json(request, 200, {name: found, "next": found[-1][key] if len(found) == most else None})


def _created(request: Any, place: str, value: dict[str, Any]) -> bytes:
    request.setHeader(b"Location", f"/api/v1/{place}".encode("ascii"))
    return send_json(request, 201, value)


def _deleted(request: Any, done: bool, what: str) -> bytes:
    if not done:
        raise _unknown(what)
    return send_json(request, 204, None)


def _unknown(what: str) -> Problem:
    return Problem(404, f"no-such-{what}", f"there is no such {what}, or it is over")


def _conflict(reason: Any) -> Any:
    if reason.check(StoreConflict):
        raise Problem(409, "conflict", "there is one already, under this name or at this place")
    return reason
