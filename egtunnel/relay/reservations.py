"""Who owns which public name, host name and port, also while away: pure, with every moment an argument."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

__all__ = ["Owner", "Place", "Reservation", "ReservationLimits", "Reservations"]


PLACES = frozenset({"name", "host", "port", "udp", "tls"})
"""Every kind of place."""


@attrs.frozen
class Owner:
    """An identity: the token a client showed, by its short digest, and the client's own id."""

    token: str
    client: str

    @property
    def together(self) -> Owner:
        """All clients of this token, who own what they share."""
        return Owner(self.token, "")


@attrs.frozen
class Place:
    """What can be owned: ``kind`` is ``name``, ``host``, ``port`` (TCP), ``udp`` or ``tls``, ``value`` a name or port.

    Of ``tls`` it is the whole host name, whether that lies below the relay's domain or not.
    """

    kind: str
    value: str


@attrs.define
class Reservation:
    """One owned place.

    ``key``: the target for which the relay chose the place itself; empty if the client named the place. ``bound``: a
    tunnel stands there. ``idle_since``: the moment its owner went away or gave it back; None while in use. ``last``: of
    several clients who shared it, the one who left last.
    """

    place: Place
    owner: Owner
    key: str = ""
    bound: bool = True
    idle_since: float | None = None
    last: str = ""


@attrs.frozen
class ReservationLimits:
    """``keep``: seconds a place stays its owner's without use. ``places``: kept in all, ``owned``: for one owner."""

    keep: float = 86_400.0
    places: int = 10_000
    owned: int = 200


class Reservations:
    """The table of owned places. ``now`` is in seconds of a clock that never jumps.

    Beyond a limit the place that has been idle for longest is forgotten; places in use are never.
    """

    def __init__(self, limits: ReservationLimits | None = None) -> None:
        self.limits = limits or ReservationLimits()
        self._places: dict[Place, Reservation] = {}
        self._owned: dict[Owner, dict[Place, Reservation]] = {}

    def __iter__(self) -> Iterator[Reservation]:
        return iter(list(self._places.values()))

    def __len__(self) -> int:
        return len(self._places)

    def owner_of(self, place: Place) -> Owner | None:
        """Who owns a place; None: it is free."""
        reservation = self._places.get(place)
        return None if reservation is None else reservation.owner

    def made_for(self, owner: Owner, kind: str, key: str) -> list[str]:
        """The values the relay has chosen for this target of this owner before, oldest first."""
        return [
            found.place.value
            for found in self._owned.get(owner, {}).values()
            if found.place.kind == kind and found.key == key
        ]

    def take(self, place: Place, owner: Owner, key: str = "") -> list[Place]:
        """The place is its owner's and in use; returns what was forgotten to make room.

        Whether it is free for this owner was asked before. A place once chosen for a target stays known as that.
        """
        known = self._places.get(place)
        if known is not None:
            key = key or known.key
            self.forget(place)
        self._add(Reservation(place, owner, key))
        return self._make_room(owner)

    def free_for(self, place: Place, owner: Owner, *, share: bool) -> bool:
        """Whether a client may have a place where no tunnel is served, alone or to ``share`` it with others.

        What was shared is reserved for sharing; but who left last may have it alone.
        """
        known = self._places.get(place)
        if known is None or known.owner == owner:
            return True
        return known.owner == owner.together and (share or known.last == owner.client)

    def leave(self, place: Place, now: float, *, bound: bool, last: str = "") -> None:
        """The place is not in use any more; ``bound``: its tunnel waits there for the owner's return."""
        reservation = self._places.get(place)
        if reservation is not None:
            reservation.bound = bound
            reservation.idle_since = now
            reservation.last = last

    def forget(self, place: Place) -> None:
        """The place is free."""
        reservation = self._places.pop(place, None)
        if reservation is not None:
            owned = self._owned[reservation.owner]
            del owned[place]
            if not owned:
                del self._owned[reservation.owner]

    def expire(self, now: float) -> list[Place]:
        """Forget what has been idle for too long; returns the places."""
        latest = now - self.limits.keep
        old = [found.place for found in self._idle(self._places) if (found.idle_since or 0.0) <= latest]
        for place in old:
            self.forget(place)
        return old

    def _add(self, reservation: Reservation) -> None:
        self._places[reservation.place] = reservation
        self._owned.setdefault(reservation.owner, {})[reservation.place] = reservation

    def _idle(self, places: dict[Place, Reservation]) -> list[Reservation]:
        return [found for found in places.values() if found.idle_since is not None]

    def _make_room(self, owner: Owner) -> list[Place]:
        owned = self._owned[owner]
        if len(owned) > self.limits.owned:
            surplus = self._idle(owned)
        elif len(self._places) > self.limits.places:
            surplus = self._idle(self._places)
        else:
            return []
        if not surplus:
            return []
        oldest = min(surplus, key=lambda found: found.idle_since or 0.0).place
        self.forget(oldest)
        return [oldest]

    # -- what is kept in a file: moments as seconds of idleness, since no clock outlives a restart

    def to_json(self, now: float, wall: float) -> list[dict[str, Any]]:
        """Every reservation as JSON values; ``wall`` is the time of day, in seconds, at ``now``."""
        return [
            {
                "kind": found.place.kind,
                "value": found.place.value,
                "token": found.owner.token,
                "client": found.owner.client,
                "key": found.key,
                "bound": found.bound,
                "idle_since": None if found.idle_since is None else round(wall - (now - found.idle_since)),
                "last": found.last,
            }
            for found in self._places.values()
        ]

    def load(self, items: list[dict[str, Any]], now: float, wall: float) -> None:
        """Take over what ``to_json`` gave; places in use then are idle from now on.

        Raises ValueError, TypeError or KeyError for anything else.
        """
        for item in items[: self.limits.places]:
            texts = [item[member] for member in ("kind", "value", "token", "client", "key")]
            texts.append(item.get("last", ""))  # files from before names could be shared have none
            if not all(isinstance(text, str) for text in texts) or texts[0] not in PLACES:
                raise ValueError(f"no reservation: {item}")
            since = item["idle_since"]
            idle = 0.0 if since is None else min(max(0.0, wall - float(since)), self.limits.keep)
            place = Place(texts[0], texts[1])
            self.forget(place)
            owner = Owner(texts[2], texts[3])
            reservation = Reservation(place, owner, texts[4], bound=bool(item["bound"]), idle_since=now - idle)
            reservation.last = texts[5]
            self._add(reservation)
