"""Flow control of one channel as plain arithmetic: what may be sent, what was promised, what is held."""

from __future__ import annotations

from egtunnel.errors import FlowControlError, LocalProtocolError

__all__ = ["INITIAL_WINDOW", "MAX_WINDOW", "MIN_WINDOW", "ReceiveWindow", "SendWindow"]

MIN_WINDOW = 16_384
"""The smallest receive window ever given, bytes; every channel can always move on with it."""
INITIAL_WINDOW = 262_144
"""The receive window a channel starts with while memory is plentiful, bytes."""
MAX_WINDOW = 4_194_304
"""The largest receive window, bytes; a peer that grants more than this at once breaks the protocol."""
SHORT_PATH = 0.002
"""On round trips up to this, in seconds, the initial window is enough for any speed and windows do not grow."""


class SendWindow:
    """How many bytes the peer still lets us send on a channel."""

    __slots__ = ("credit",)

    def __init__(self, credit: int) -> None:
        self.credit = credit

    def grant(self, increment: int) -> None:
        """The peer gave ``increment`` bytes more. Raises FlowControlError beyond ``MAX_WINDOW`` in all."""
        if increment == 0:
            raise FlowControlError("a credit of 0 bytes")
        if self.credit + increment > MAX_WINDOW:
            raise FlowControlError(f"credit of more than {MAX_WINDOW} bytes")
        self.credit += increment

    def spend(self, size: int) -> None:
        """We send ``size`` bytes."""
        if size > self.credit:
            raise LocalProtocolError(f"{size} bytes sent with a credit of {self.credit}")
        self.credit -= size


class ReceiveWindow:
    """What the peer may still send, and what came and waits for the application.

    Invariant: ``available + held <= limit``, but for the time it takes to shrink after ``limit`` was lowered. Credit
    goes back only for what the application consumed, and in halves of the window, so that it costs little.
    """

    __slots__ = ("available", "held", "limit", "since")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.available = limit
        self.held = 0
        self.since = 0.0

    def receive(self, size: int) -> None:
        """``size`` bytes came. Raises FlowControlError if the peer had no credit for them."""
        if size > self.available:
            raise FlowControlError(f"{size} bytes received with a credit of {self.available}")
        self.available -= size
        self.held += size

    def consume(self, size: int) -> int:
        """The application took ``size`` bytes; the credit to give back now, 0 while it is not worth a frame."""
        if size > self.held:
            raise LocalProtocolError(f"{size} bytes consumed, {self.held} held")
        self.held -= size
        owed = self.limit - self.available - self.held
        if 2 * owed < self.limit:
            return 0
        self.available += owed
        return owed

    def grow(self, now: float, round_trip: float, most: int = MAX_WINDOW) -> None:
        """Follow bandwidth x delay up to ``most``: call when credit goes back with memory to spare; times in seconds.

        Half a window was consumed since the last call. If that took less than a round trip, the peer has waited for
        credit, and the window doubles. Not on a short path: there the processor is the bound, and a larger window would
        only put more bytes in front of everybody else's. A window made small while memory was tight doubles anyway.
        """
        since, self.since = self.since, now
        if self.limit < INITIAL_WINDOW:
            self.limit = min(2 * self.limit, INITIAL_WINDOW)
        elif round_trip > SHORT_PATH and 0 < now - since < round_trip:
            self.limit = max(self.limit, min(2 * self.limit, most, MAX_WINDOW))
