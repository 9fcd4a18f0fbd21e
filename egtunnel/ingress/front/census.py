"""How many visitors are here, in all and of one address; and what one too many is told."""

from __future__ import annotations

from egtunnel.ingress.front.limits import FrontLimits
from egtunnel.ingress.http.refusals import FULL, Refusal
from egtunnel.ingress.subscriber import subscriber

__all__ = ["FULL_FOR_ADDRESS", "Census", "Place"]

FULL_FOR_ADDRESS = Refusal(429, "over-limit", "Too many connections at once from your address.", retry=True)


class Census:
    """Counts connections. ``visitors``: those that are served, ``leaving``: those that are told to go.

    ``by_address``: visitors of one address; who is exempt, or not known yet, does not stand there.
    """

    def __init__(self, limits: FrontLimits) -> None:
        self.limits = limits
        self.visitors = 0
        self.leaving = 0
        self.by_address: dict[str, int] = {}

    def enter(self) -> Place | None:
        """A place for one more connection; None: there is none, not even to be told so."""
        if self.visitors < self.limits.connections:
            self.visitors += 1
            return Place(self, None)
        if self.leaving < self.limits.leaving:
            self.leaving += 1
            return Place(self, FULL)
        return None


class Place:
    """The place of one connection, given back once however often that is said.

    ``refusal``: None, or why the connection is not served.
    """

    __slots__ = ("_census", "_key", "_left", "refusal")

    def __init__(self, census: Census, refusal: Refusal | None) -> None:
        self.refusal = refusal
        self._census = census
        self._key = ""
        self._left = False

    def count_for(self, host: str) -> bool:
        """Count it for this address, or note why not; False: there is no room even to be told so."""
        census, key = self._census, subscriber(host)
        if self.refusal is not None or not key:
            return True
        count = census.by_address.get(key, 0)
        if count < census.limits.per_address:
            census.by_address[key] = count + 1
            self._key = key
            return True
        if census.leaving >= census.limits.leaving:
            return False
        census.visitors -= 1
        census.leaving += 1
        self.refusal = FULL_FOR_ADDRESS
        return True

    def leave(self) -> None:
        """The connection is no visitor's any more."""
        if self._left:
            return
        self._left = True
        census, key = self._census, self._key
        if self.refusal is not None:
            census.leaving -= 1
            return
        census.visitors -= 1
        if key:
            count = census.by_address.pop(key) - 1
            if count:
                census.by_address[key] = count
