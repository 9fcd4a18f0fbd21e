"""How much a visitor may do that costs it nothing and the relay something: resets and control frames."""

from __future__ import annotations

from collections.abc import Sequence

from h2.events import (
    DataReceived,
    Event,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    SettingsAcknowledged,
    UnknownFrameReceived,
)
from twisted.internet.interfaces import IReactorTime

from egtunnel.ingress.http2.limits import H2Limits

__all__ = ["Calm"]

_CONTROL = frozenset([PingReceived, PriorityUpdated, RemoteSettingsChanged, SettingsAcknowledged, UnknownFrameReceived])


class Calm:
    """Two buckets that empty at a steady rate: streams reset by either side (CVE-2023-44487 "Rapid Reset",
    CVE-2025-8671 "MadeYouReset"), and frames that carry nothing (CVE-2019-9512, 9515, 9518).
    """

    __slots__ = ("_clock", "_control", "_limits", "_resets", "_since")

    def __init__(self, limits: H2Limits, clock: IReactorTime) -> None:
        self._limits = limits
        self._clock = clock
        self._resets = self._control = 0.0
        self._since = clock.seconds()

    def reset(self) -> None:
        """A stream was reset."""
        self._empty()
        self._resets += 1

    def note(self, events: Sequence[Event]) -> None:
        """Count those that carry nothing."""
        control = 0
        for event in events:
            kind = type(event)
            if kind in _CONTROL or (kind is DataReceived and not event.data and event.stream_ended is None):  # type: ignore[attr-defined]
                control += 1
        if control:
            self._empty()
            self._control += control

    @property
    def lost(self) -> bool:
        """Whether it was too much."""
        return self._resets > self._limits.resets or self._control > self._limits.control

    def _empty(self) -> None:
        limits, now = self._limits, self._clock.seconds()
        passed, self._since = now - self._since, now
        self._resets = max(0.0, self._resets - passed * limits.reset_rate)
        self._control = max(0.0, self._control - passed * limits.control_rate)
