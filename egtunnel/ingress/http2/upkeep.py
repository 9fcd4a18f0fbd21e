"""What time does to a visitor's HTTP/2 connection: idle ones end, silent ones are asked, stuck streams are reset."""

from __future__ import annotations

from typing import Any

from egtunnel.ingress.http.deadline import Deadline
from egtunnel.ingress.http.site import Site
from egtunnel.ingress.http2.limits import H2Limits
from egtunnel.ingress.http2.protocol import NO_ERROR

__all__ = ["Upkeep"]

QUESTION = b"are you?"
"""Eight bytes of a PING."""


class Upkeep:
    """The waits of one connection, with one timer: a deadline while nothing goes on, a tick while streams are open."""

    __slots__ = ("_asked", "_connection", "_deadline", "_full_since", "_heard", "_limits", "_quiet_since", "_site")

    def __init__(self, connection: Any, site: Site, limits: H2Limits) -> None:
        self._connection = connection
        self._site = site
        self._limits = limits
        self._deadline = Deadline(site.clock, self._due)
        self._heard = self._asked = False
        self._full_since: float | None = None
        self._quiet_since = 0.0

    def begin(self) -> None:
        """Connected: the first words of HTTP/2 have ``head_wait`` seconds."""
        self._deadline.set(self._site.limits.head_wait)

    def heard(self) -> None:
        """Something came."""
        if not self._heard:
            self._heard = True
            if not self._connection.streams:
                self.idle()

    def idle(self) -> None:
        """No stream is open."""
        self._deadline.set(self._site.limits.keep_alive)

    def busy(self) -> None:
        """A stream was opened."""
        if len(self._connection.streams) == 1:
            self._quiet_since = self._site.clock.seconds()
            self._asked = False
            self._deadline.set(self._limits.tick)

    def stalled(self, full: bool) -> None:
        """The transport takes no more, or takes more again."""
        self._full_since = self._site.clock.seconds() if full else None
        if full:
            self._deadline.set(self._limits.tick)

    def end(self) -> None:
        """No more of it."""
        self._deadline.cancel()

    def _due(self) -> None:
        connection, now = self._connection, self._site.clock.seconds()
        if self._full_since is not None and now - self._full_since >= self._site.limits.stall:
            connection.abort()
        elif connection.streams or self._full_since is not None:
            self._deadline.set(self._limits.tick)
            self._look_at_streams(now)
            self._listen(now)
        else:
            connection.end(NO_ERROR)

    def _look_at_streams(self, now: float) -> None:
        for stream in list(self._connection.streams.values()):
            if stream.late(now):
                stream.time_out()

    def _listen(self, now: float) -> None:
        """Nothing came for a while: a visitor that vanished answers no PING."""
        if self._heard:
            self._heard = self._asked = False
            self._quiet_since = now
        elif now - self._quiet_since >= self._limits.quiet:
            if self._asked:
                self._connection.abort()
            else:
                self._asked = True
                self._quiet_since = now
                self._connection.ping(QUESTION)
