"""What a visitor is told when its request is not served: status, word and sentence, for each cause."""

from __future__ import annotations

from http import HTTPStatus

import attrs
from twisted.internet.error import ConnectError

from egtunnel.errors import (
    ChannelReset,
    ClientAway,
    Denied,
    EgtunnelError,
    OverBudget,
    OverLimit,
    TooManyChannels,
    UnknownTunnel,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamSlow,
)

__all__ = [
    "AWAY",
    "BROKE",
    "CLIMBS",
    "DENIED",
    "FULL",
    "LOOP",
    "NOT_FOUND",
    "REASONS",
    "REFUSED",
    "SLOW",
    "TIMEOUT",
    "TOO_MUCH",
    "TOO_MUCH_OF_ONE",
    "UNKNOWN",
    "Refusal",
    "RequestRefused",
    "bad_request",
    "refusal_for",
]

REASONS: dict[int, bytes] = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
REASONS[413] = b"Content Too Large"


@attrs.frozen
class Refusal:
    """One row of the error table. ``headers`` are sent beside the usual ones; ``retry`` adds Retry-After."""

    status: int
    word: str
    text: str
    retry: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()


class RequestRefused(EgtunnelError):
    """A request that is not served; carries what the visitor is told."""

    word = "bad-request"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


def bad_request(text: str) -> RequestRefused:
    """A malformed or ambiguous request."""
    return RequestRefused(Refusal(400, "bad-request", text))


UNKNOWN = Refusal(404, "unknown-tunnel", "There is no tunnel of this name here.")
NOT_FOUND = Refusal(404, "unknown-tunnel", "There is nothing here, and no tunnel of this name.")
AWAY = Refusal(503, "client-away", "The client that serves this name is not connected at the moment.", retry=True)
REFUSED = Refusal(502, "upstream-refused", "The local service behind this tunnel refused the connection.")
BROKE = Refusal(502, "upstream-broke", "The local service behind this tunnel broke the connection or answered wrongly.")
SLOW = Refusal(504, "upstream-slow", "The local service behind this tunnel did not answer in time.")
TOO_MUCH = Refusal(429, "over-limit", "Too many requests at once through this tunnel.", retry=True)
TOO_MUCH_OF_ONE = Refusal(
    429, "over-limit", "Too many requests at once from your address through this tunnel.", retry=True
)
FULL = Refusal(503, "over-limit", "This relay has as many visitors as it takes.", retry=True)
DENIED = Refusal(403, "denied", "You are not allowed to use this tunnel.")
CLIMBS = Refusal(400, "bad-request", "The path leads out of what this tunnel shows.")
LOOP = Refusal(508, "loop-detected", "This request goes round in a circle: the tunnel leads back to a relay.")
TIMEOUT = Refusal(408, "request-timeout", "The request did not arrive in time.")

_CAUSES: tuple[tuple[tuple[type[EgtunnelError], ...], Refusal], ...] = (
    ((UnknownTunnel, ClientAway), AWAY),
    ((UpstreamRefused,), REFUSED),
    ((UpstreamSlow,), SLOW),
    ((TooManyChannels, OverLimit, OverBudget), TOO_MUCH),
    ((Denied,), DENIED),
    ((UpstreamBroke, ChannelReset), BROKE),
)


def refusal_for(error: BaseException) -> Refusal:
    """What a visitor is told of an upstream that could not be reached, or broke before it answered."""
    if isinstance(error, RequestRefused):
        return error.refusal
    for causes, refusal in _CAUSES:
        if isinstance(error, causes):
            return refusal
    return REFUSED if isinstance(error, ConnectError) else BROKE
