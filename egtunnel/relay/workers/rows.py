"""A tunnel as supervisor and workers tell it to each other: where it stands, how it behaves and who serves it. Pure."""

from __future__ import annotations

from typing import Any

import attrs

from egtunnel.policy import Edit, HeaderPolicy
from egtunnel.relay.reservations import Place
from egtunnel.relay.tunnels import Manner

__all__ = ["Row", "Seat"]


@attrs.frozen
class Seat:
    """Who serves a tunnel: a session at a worker, under the client's ``number``; ``id`` as in ``IServer``."""

    worker: int
    session: str
    number: int
    client: str
    id: str


@attrs.frozen
class Row:
    """A tunnel that stands."""

    place: Place
    manner: Manner
    seats: tuple[Seat, ...] = ()

    def to_words(self) -> dict[str, Any]:
        """As JSON values."""
        manner, policy = self.manner, self.manner.policy
        words: dict[str, Any] = {
            "place": [self.place.kind, self.place.value],
            "host_header": manner.host_header,
            "protocol": manner.protocol,
            "share": manner.share,
            "sticky": manner.sticky,
            "access": manner.access,
            "dedicated": manner.dedicated,
            "seats": [attrs.astuple(seat) for seat in self.seats],
        }
        if policy is not None:
            words["policy"] = [_edits(policy.request), _edits(policy.response), policy.path_prefix.decode("ascii")]
        return words

    @classmethod
    def from_words(cls, words: dict[str, Any]) -> Row:
        """What ``to_words`` gave."""
        policy = words.get("policy")
        manner = Manner(
            words["host_header"],
            words["protocol"],
            None if policy is None else HeaderPolicy.from_wire(*policy),
            words["share"],
            words["sticky"],
            words["access"],
            words["dedicated"],
        )
        return cls(Place(*words["place"]), manner, tuple(Seat(*seat) for seat in words["seats"]))


def _edits(edits: tuple[Edit, ...]) -> list[list[str]]:
    return [
        [edit.action, edit.name.decode("ascii"), *([] if edit.action == "remove" else [edit.value.decode("utf-8")])]
        for edit in edits
    ]
