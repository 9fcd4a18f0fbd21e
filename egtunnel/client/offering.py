"""What this client offers, by its own numbers: the one table that says which tunnels there are, and may change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping

import attrs

from egtunnel.client.offers import Offer
from egtunnel.client.termination import Termination
from egtunnel.interfaces import Dialer

__all__ = ["Difference", "Offering", "Served", "difference"]


@attrs.frozen
class Served:
    """An offer, how to reach its service, and what ends the TLS of its visitors (None: nothing does here)."""

    offer: Offer
    dialer: Dialer
    termination: Termination | None = None


@attrs.frozen
class Difference:
    """What makes one list of offers of another.

    ``kept``, ``changed``: the new offer by the number of the earlier one. ``removed``: the earlier one by its number.
    ``added``: by numbers of their own.
    """

    kept: dict[int, Offer] = attrs.field(factory=dict)
    changed: dict[int, Offer] = attrs.field(factory=dict)
    removed: dict[int, Offer] = attrs.field(factory=dict)
    added: dict[int, Offer] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed or self.added)


def difference(earlier: Mapping[int, Offer], offers: Iterable[Offer], last: int) -> Difference:
    """Which offers are the same, which are the same tunnel with other settings, and which come and go.

    Who has the place that is wanted keeps it, whatever else changes, so that no place has to be given back first. Where
    one of the two names none, the same target makes it the same tunnel: it may have that place already, by the relay's
    choice. ``last``: the highest number that was given so far.
    """
    found = Difference(removed=dict(earlier))
    rest = _matched(found.removed, found.kept, offers, _itself, _itself)
    rest = _matched(found.removed, found.changed, rest, _place, _place)
    rest = _matched(found.removed, found.changed, rest, _target_alone, _target)
    rest = _matched(found.removed, found.changed, rest, _target, _target_alone)
    found.added.update(enumerate(rest, last + 1))
    return found


Mark = Callable[[Offer], Hashable]
"""By what an offer is known again; None: by nothing."""


def _matched(
    earlier: dict[int, Offer], into: dict[int, Offer], offers: Iterable[Offer], old: Mark, new: Mark
) -> list[Offer]:
    """Move offers with the mark of an earlier one, which is taken away, ``into`` by its number; returns the others."""
    numbers: dict[Hashable, deque[int]] = {}
    for number, offer in earlier.items():
        numbers.setdefault(old(offer), deque()).append(number)
    numbers.pop(None, None)
    rest = []
    for offer in offers:
        same = numbers.get(new(offer))
        if same:
            number = same.popleft()
            del earlier[number]
            into[number] = offer
        else:
            rest.append(offer)
    return rest


def _itself(offer: Offer) -> Hashable:
    return offer


def _place(offer: Offer) -> tuple[str, str] | None:
    """The public place that an offer names."""
    if offer.kind in ("tcp", "udp"):
        return (f"{offer.kind} port", str(offer.port)) if offer.port else None
    if offer.kind == "visit":
        return "visit", f"{offer.name} {offer.listen}"
    if offer.kind == "tls":
        return "tls", (offer.host or offer.name).lower()
    if offer.host:
        return "host", offer.host.lower().removesuffix(".")
    return ("name", offer.name.lower()) if offer.name else None


def _target(offer: Offer) -> tuple[str, str]:
    return offer.kind, offer.target.key


def _target_alone(offer: Offer) -> tuple[str, str] | None:
    """The target of an offer that leaves its place to the relay."""
    return _target(offer) if _place(offer) is None else None


@attrs.define(eq=False)
class _Row:
    """One tunnel: ``wished`` by the user; ``served`` to visitors; ``asked`` of the relay and not yet answered."""

    wished: Served
    served: Served
    asked: deque[Served] = attrs.field(factory=deque)

    def renew(self, served: Served) -> None:
        """Another way to reach the service of the offer that is wished for."""
        self.wished = served
        self.asked = deque(served if each.offer == served.offer else each for each in self.asked)
        if self.served.offer == served.offer:
            self.served = served


class Offering:
    """The tunnels by number, from 1 upwards; a number is never given to another tunnel later.

    A tunnel that is claimed again with other settings is served as before until the relay has granted them: what it
    opens before then is meant for the old ones.

    :param dial: how to reach the service of an offer; may raise ConfigurationError.
    :param end_tls: what ends the TLS of its visitors here; None: nothing. May raise ConfigurationError.
    """

    def __init__(
        self,
        offers: Iterable[Offer],
        dial: Callable[[Offer], Dialer],
        end_tls: Callable[[Offer], Termination | None] = lambda offer: None,
    ) -> None:
        self._dial = dial
        self._end_tls = end_tls
        self._rows: dict[int, _Row] = {}
        self._last = 0
        for offer in offers:
            self._add(self._served(offer))

    @property
    def offers(self) -> dict[int, Offer]:
        """What the user wishes for."""
        return {number: row.wished.offer for number, row in self._rows.items()}

    def __contains__(self, number: object) -> bool:
        return number in self._rows

    def __bool__(self) -> bool:
        return bool(self._rows)

    def served(self, number: int) -> Served | None:
        """What visitors of this number get; None: there is no such tunnel."""
        row = self._rows.get(number)
        return None if row is None else row.served

    def wished(self, number: int) -> Offer:
        """What is to be claimed for a number that is in the table."""
        return self._rows[number].wished.offer

    def begin(self) -> None:
        """A new session: nothing has been asked, and nobody visits yet."""
        for row in self._rows.values():
            row.asked.clear()
            row.served = row.wished

    def asked(self, number: int) -> None:
        """The relay was asked for it as it is wished now."""
        row = self._rows[number]
        row.asked.append(row.wished)

    def granted(self, number: int) -> None:
        """The relay has granted what it was asked first: visitors are served so."""
        row = self._rows[number]
        if row.asked:
            row.served = row.asked.popleft()

    def refused(self, number: int) -> bool:
        """The relay has refused what it was asked first; whether that was its last word so far."""
        row = self._rows[number]
        if row.asked:
            row.asked.popleft()
        return not row.asked

    def drop(self, number: int) -> Offer:
        """There is no such tunnel any more; what was wished for."""
        return self._rows.pop(number).wished.offer

    def change(self, offers: Iterable[Offer]) -> Difference:
        """From now on these offers are wished for; what is removed is served no longer.

        Raises ConfigurationError, and nothing has changed, if a service cannot be dialed so.
        """
        found = difference(self.offers, offers, self._last)
        changed = {number: self._served(offer) for number, offer in found.changed.items()}
        # the file of an authority may have another content, though it has the same name
        kept = {number: self._served(offer) for number, offer in found.kept.items() if offer.trust.authority}
        added = [self._served(offer) for offer in found.added.values()]
        for number in found.removed:
            del self._rows[number]
        for number, served in changed.items():
            self._rows[number].wished = served
        for number, served in kept.items():
            self._rows[number].renew(served)
        for served in added:
            self._add(served)
        return found

    def _served(self, offer: Offer) -> Served:
        return Served(offer, self._dial(offer), self._end_tls(offer))

    def _add(self, served: Served) -> None:
        self._last += 1
        self._rows[self._last] = _Row(served, served)
