"""The other workers as one of them sees them: a session of channels to each, and a way to pass connections on."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from egtunnel.errors import ChannelReset, EgtunnelError, LinkLost, ShuttingDown
from egtunnel.mux.budget import Budget
from egtunnel.mux.limits import MuxLimits
from egtunnel.relay.workers.passing import Pass, Passed
from egtunnel.relay.workers.stream_link import StreamLink, adopt_stream
from egtunnel.session.session import Role, Session, SessionLimits
from egtunnel.session.transport import ChannelTransport
from egtunnel.splice import Half, join

__all__ = ["Neighbours"]

CHANNELS = 1_000_000
"""Between two workers; a client's own limit holds where its session is."""
PATIENCE = 60.0
"""Seconds: a worker that stands still is ended by the supervisor long before."""


class Neighbours:
    """All other workers, by number.

    :param local: our own session of an id; None: it is over.
    :param passed: takes the connections that others pass to us.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        budget: Budget,
        local: Callable[[str], Session | None],
        passed: Callable[[Passed], None],
    ) -> None:
        self._reactor = reactor
        self._budget = budget
        self._local = local
        self._passed = passed
        self._sessions: dict[int, Session] = {}
        self._passes: dict[int, Pass] = {}

    def add(self, worker: int, first: bool, stream: socket.socket, passing: socket.socket) -> None:
        """One more, or one that was begun anew; ``first``: of the two, we are the one with the lower number."""
        self.remove(worker)
        limits = SessionLimits(
            mux=MuxLimits(channels=CHANNELS, unaccepted=CHANNELS), heartbeat=PATIENCE, patience=PATIENCE, resume=0.0
        )
        session = Session(
            role=Role.RELAY if first else Role.CLIENT,
            clock=self._reactor,
            limits=limits,
            budget=self._budget,
            id=f"worker {worker}",
            on_open=self._opened,
            on_closed=lambda error: self._closed(worker, session),
        )
        self._sessions[worker] = session
        self._passes[worker] = Pass(self._reactor, passing, self._passed)
        session.attach(adopt_stream(self._reactor, stream, StreamLink(f"worker {worker}")))

    def remove(self, worker: int) -> None:
        """It is gone."""
        session, passing = self._sessions.pop(worker, None), self._passes.pop(worker, None)
        if passing is not None:
            passing.close()
        if session is not None:
            session.leave(LinkLost())

    def close(self) -> None:
        """No ways any more."""
        for session in list(self._sessions.values()):
            session.close(ShuttingDown())
        for passing in self._passes.values():
            passing.close()
        self._passes.clear()

    @property
    def channels(self) -> int:
        """How many visitors are on their way between us and others."""
        return sum(session.channels for session in self._sessions.values())

    # -- Roads

    def there(self, worker: int) -> bool:
        """Whether there is a way to it."""
        return worker in self._sessions

    def open(self, worker: int, metadata: dict[str, Any]) -> ChannelTransport:
        """A channel to it. Raises LinkLost or TooManyChannels."""
        session = self._sessions.get(worker)
        if session is None:
            raise LinkLost
        return session.open(metadata)

    def send(self, worker: int, connection: socket.socket, words: dict[str, Any], data: bytes) -> bool:
        """Pass a connection on; False: it cannot be done at this moment."""
        passing = self._passes.get(worker)
        return passing is not None and passing.send(connection, words, data)

    # --

    def _closed(self, worker: int, session: Session) -> None:
        if self._sessions.get(worker) is session:
            del self._sessions[worker]

    def _opened(self, channel: ChannelTransport, metadata: dict[str, Any]) -> None:
        """A visitor of another worker, for one of our sessions."""
        session, ask = self._local(str(metadata.get("session"))), metadata.get("ask")
        if session is None or not isinstance(ask, dict):
            channel.reset(LinkLost())
            return
        try:
            onward = session.least_busy().open(ask)
        except EgtunnelError as error:
            channel.reset(error if isinstance(error, ChannelReset) else LinkLost())
            return
        near, far = Half(), Half()
        onward.watcher = Acceptance(channel)
        onward.connect_protocol(far)
        channel.connect_protocol(near)
        join(near, far)


class Acceptance:
    """Passes on that a channel was accepted, or was not; what follows goes the way of its bytes."""

    __slots__ = ("_accepted", "_channel")

    def __init__(self, channel: ChannelTransport) -> None:
        self._channel = channel
        self._accepted = False

    def channel_accepted(self) -> None:
        """So is ours."""
        self._accepted = True
        self._channel.accept()

    def channel_reset(self, error: EgtunnelError) -> None:
        """At once: the end of the bytes would say that ours was accepted before, and nobody would turn to others."""
        if not self._accepted:
            self._channel.reset(error)

    def channel_over(self) -> None:
        """The protocol there is told."""
