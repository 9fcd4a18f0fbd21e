"""The worker processes: started, heard, and started again when one has died."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from egtunnel.relay.workers.post import DESCRIPTOR, environment
from egtunnel.relay.workers.wire import Wire, Words

__all__ = ["Crew", "CrewLimits", "Launch", "usable_cores"]

MODULE = "egtunnel.relay.workers"


@attrs.frozen
class CrewLimits:
    """Times in seconds. ``silence``: how long a worker may say nothing; it is killed then. ``steady``: one that ran for
    so long is started again at once, others after a pause that doubles from ``first`` to ``longest``. ``start``: how
    long a new one may take until its first word.
    """

    silence: float = 15.0
    steady: float = 10.0
    first: float = 1.0
    longest: float = 30.0
    start: float = 60.0


@attrs.frozen
class Launch:
    """How workers are started: with these ``arguments`` of egrelay, in this ``folder``.

    ``foreground``: whether what they print is for the person who started us; if not, it goes to our log.
    """

    arguments: Sequence[str]
    folder: str
    foreground: Callable[[], bool] = lambda: True


class Crew:
    """So many workers, by number from 1 on.

    :param received: told of what a worker says, with its number. ``lost``: that it is gone.
    :param failed: told that one ended before any had begun.
    :ivar stopping: those that end are not replaced.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        count: int,
        launch: Launch,
        *,
        received: Callable[[int, Words], None],
        lost: Callable[[int], None],
        failed: Callable[[], None],
        say: Callable[[str], None],
        limits: CrewLimits | None = None,
    ) -> None:
        self.count = count
        self.launch = launch
        self.limits = limits or CrewLimits()
        self.stopping = False
        self.begun = False
        self.reactor = reactor
        self.received = received
        self._lost = lost
        self._failed = failed
        self._say = say
        self._members: dict[int, Member] = {}
        self._pauses: dict[int, float] = {}
        self._calls: dict[int, IDelayedCall] = {}
        self._over: list[Deferred[None]] = []

    def start(self) -> None:
        """Start all of them."""
        for number in range(1, self.count + 1):
            self._start(number)

    def tell(self, number: int, words: Words, sockets: Sequence[Any] = ()) -> None:
        """Say something to one, if it is there."""
        member = self._members.get(number)
        if member is not None:
            member.wire.send(words, sockets)

    def tell_all(self, words: Words) -> None:
        """Say something to each."""
        for number in list(self._members):
            self.tell(number, words)

    def pids(self) -> dict[int, int]:
        """The processes, by number."""
        return {number: member.transport.pid for number, member in self._members.items()}

    def look(self) -> None:
        """Kill who has said nothing for too long."""
        now = self.reactor.seconds()
        for number, member in list(self._members.items()):
            patience = self.limits.silence if member.greeted else self.limits.start
            if now - member.heard > patience:
                self._say(f"worker {number} does not answer: it is killed")
                member.kill()

    def over(self) -> Deferred[None]:
        """Fires when all of them have ended; nobody is started any more."""
        self.stopping = True
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        done: Deferred[None] = Deferred()
        self._over.append(done)
        self._look_whether_over()
        return done

    def kill(self) -> None:
        """End all of them at once."""
        for member in list(self._members.values()):
            member.kill()

    # --

    def _start(self, number: int) -> None:
        self._calls.pop(number, None)
        ours, theirs = socket.socketpair()
        member = self._members[number] = Member(self, number, ours)
        launch = self.launch
        out: Any = {1: 1, 2: 2} if launch.foreground() else {1: "r", 2: "r"}
        with theirs:
            self.reactor.spawnProcess(
                member,
                sys.executable,
                [sys.executable, "-m", MODULE, *launch.arguments],
                env=environment(number, self.count),
                path=launch.folder,
                childFDs={0: 0, **out, DESCRIPTOR: theirs.fileno()},
            )

    def ended(self, member: Member, reason: str) -> None:
        """A process has ended."""
        number = member.number
        if self._members.get(number) is not member:
            return
        del self._members[number]
        member.wire.close()
        self._lost(number)
        if self.stopping:
            self._look_whether_over()
        elif not self.begun:
            self._failed()
        else:
            self._replace(number, member, reason)

    def _replace(self, number: int, member: Member, reason: str) -> None:
        steady = self.reactor.seconds() - member.started >= self.limits.steady
        pause = 0.0 if steady else self._pauses.get(number, 0.0)
        self._pauses[number] = min(max(2 * pause, self.limits.first), self.limits.longest)
        when = f" in {pause:g} s" if pause else ""
        self._say(f"worker {number} has ended ({reason}): another one is started{when}")
        self._calls[number] = self.reactor.callLater(pause, self._start, number)

    def _look_whether_over(self) -> None:
        if not self._members:
            over, self._over = self._over, []
            for done in over:
                done.callback(None)


class Member(ProcessProtocol):
    """One process and the way to it."""

    transport: Any
    log = Logger()

    def __init__(self, crew: Crew, number: int, channel: socket.socket) -> None:
        self.number = number
        self.started = self.heard = crew.reactor.seconds()
        self.greeted = False
        self.wire = Wire(crew.reactor, channel, self._received, lambda: None)  # ``look`` ends it, should it go on
        self._crew = crew
        self._rest = b""

    def kill(self) -> None:
        """End it at once; ``processEnded`` follows."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def _received(self, words: Words, sockets: list[socket.socket]) -> None:
        for each in sockets:
            each.close()  # a worker has none for us
        self.heard = self._crew.reactor.seconds()
        self.greeted = True
        self._crew.received(self.number, words)

    def outReceived(self, data: bytes) -> None:
        """Something it printed, for our log."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.log.info("worker {number}: {line}", number=self.number, line=line.decode("utf-8", "replace"))
        self._rest = self._rest[-65_536:]

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        value: Any = reason.value
        status = f"status {value.exitCode}"
        self._crew.ended(self, status if value.signal is None else signal.Signals(value.signal).name)


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
